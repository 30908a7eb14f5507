"""What variants there are, as data: server software, encryptions, faults, load kinds, link fields.

Declarations are at the bottom of the import order and import nothing of the lab but its errors, so that every
package can read them: topologies, plans, histories, checks, images, runtimes and reports. The code that acts is
higher under the same name: `declarations/servers/prosody.py` describes what `servers/prosody/` renders. A variant is
found because its file is there; there is no list to add it to. docs/architecture.md has the table of changes.
"""

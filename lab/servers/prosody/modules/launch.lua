-- Runs the `prosody` of a tree of unpacked packages: its own file, with the absolute paths in it below XMPPLAB_PREFIX.
local prefix = assert(os.getenv "XMPPLAB_PREFIX", "XMPPLAB_PREFIX is not set");
local path = prefix .. "/usr/bin/prosody";

local file = assert(io.open(path));
local source = file:read "a":gsub("^#![^\n]*", "--"):gsub("(CFG_%u+=')(/)", "%1" .. prefix:gsub("%%", "%%%%") .. "%2");
file:close();

assert(load(source, "@" .. path))(...);

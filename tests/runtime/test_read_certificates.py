"""What certificates servers have, read from a lab's folder."""

from datetime import UTC, datetime

from lab.network.authority import Authority
from lab.plan.layout import Layout
from lab.runtime.server_files import read_certificates
from tests.checks.sample_history import plan


def test_issuer_and_dates_are_those_of_the_files(tmp_path):
    layout, planned = Layout(tmp_path), plan()
    first = planned.servers[0]
    folder = layout.server(first.spec.name)
    folder.mkdir(parents=True)
    authority = Authority.generate("the authority of a test")
    authority.issue(first.certificate, folder)
    (found,) = read_certificates(layout, planned)
    server, shown, issuer, start, end = found
    assert (server, shown) == (first.spec.name, "all")
    assert "the authority of a test" in issuer
    assert datetime.fromisoformat(start) < datetime.now(UTC) < datetime.fromisoformat(end)
    (folder / "certs" / f"{first.certificate.domain}.crt").write_text("rubbish")
    assert read_certificates(layout, planned) == ((server, "all", "what is there is no certificate", "", ""),)

"""`xmpplab check`: judge a run again, from its folder alone."""

from __future__ import annotations

import typer

from lab.cli.options import RunArgument
from lab.cli.output import print_text
from lab.system.tables import wrap_text


def check(run: RunArgument = None) -> None:
    """Judge a run again from its folder. Writes the verdict; the exit code is that of the verdict."""
    from lab.report.html.run_files import write_reports
    from lab.runner import folders
    from lab.runner.judgement import judge_folder

    folder = folders.find(run)
    record, judgement = judge_folder(folder)
    write_reports(folder, record, judgement)
    said = wrap_text(f"{judgement.value.upper()}: {judgement.sentence}", then="  ")
    print_text("\n".join([*said, str(folder / folders.VERDICT)]), verdicts=True)
    raise typer.Exit(judgement.exit_code)

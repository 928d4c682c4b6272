"""The commands of `prog`: one file each, found by its name. Nothing is registered anywhere.

To add `prog greet`, write `greet.py` here (an underscore in a file's name is a dash in the command's):

    \"\"\"Greet somebody.\"\"\"            # the first line is what `prog --help` shows

    import typer

    app = typer.Typer()

    @app.command()
    def greet(name: str, as_json: bool = typer.Option(False, "--json")) -> None:
        \"\"\"What `prog greet --help` shows.\"\"\"

An app with several commands makes `prog greet hello`, `prog greet goodbye`; one with a single command and a callback
(`@app.callback()`) does so too. Modules import what is heavy inside their functions. For a condition that the operator
can mend raise `prog_infra.errors.OperatorError(message, remedy=…)`; for "failed" raise `typer.Exit(1)`.

`prog_infra.local.settings(data)` gives the settings of the platform to talk to: the environment's, else those of the
platform that `prog up` runs in that data directory. Files that start with an underscore are no commands.
"""

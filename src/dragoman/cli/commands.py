"""The commands of ``dragoman``."""

from __future__ import annotations

import rich_click as click

from dragoman.settings import load


@click.group()
def main() -> None:
    """One user directory that speaks the Users APIs which applications already have."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", default=1, show_default=True)
def serve(host: str, port: int, workers: int) -> None:
    """Serve every contract."""
    from dragoman.cli.serve import serve as run

    run(load(), host=host, port=port, workers=workers)


if __name__ == "__main__":
    main()

"""The command line: app.py joins the verbs, screen.py alone prints, interrupts.py ends at a signal.

Heavy imports stand inside the verbs: `playsafe --help` loads no torch. Exit codes: 0 done, 1 a gate was not
passed, 2 bad input, 3 environment or self-check, 4 not measured (most replies are missing or unjudged), 5
another process is at work in the directory, 130 and 143 interrupted.
"""

from playsafe.cli.interrupts import deaf, ending_at_signals


def process() -> None:
    """Entry point of a process, which ends with this command: what is done cannot be interrupted any more."""
    try:
        main()
    finally:
        deaf()


def main() -> None:
    """One command. Signals are heeded before anything else is imported."""
    with ending_at_signals():
        from playsafe.cli.app import main as run

        run()

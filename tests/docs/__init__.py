"""The documentation is true: its commands run, its site builds, its pages are complete."""

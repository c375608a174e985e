"""A stand-in for running programs: it remembers the commands and answers by what they contain."""

from collections.abc import Callable
from pathlib import Path

from ingestor.local.processes import CommandError, Output

Answer = str | BaseException | Callable[[list[str]], None]


class FakeRunner:
    """Answer with the first entry of ``answers`` whose words all stand in the command; others print nothing.

    Contract with ``CommandRunner``: what fails raises ``CommandError``, what a program prints is in ``stdout``.
    """

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers = answers or {}
        self.commands: list[list[str]] = []

    async def __call__(self, *command: str | Path, timeout_s: float) -> Output:
        words = [str(word) for word in command]
        self.commands.append(words)
        for wanted, answer in self.answers.items():
            if all(word in words or Path(words[0]).name == word for word in wanted.split()):
                return self._give(answer, words)
        return Output("", "")

    def having(self, *wanted: str) -> list[list[str]]:
        """Return the commands that hold all of these words."""
        return [command for command in self.commands if set(wanted) <= set(command)]

    @staticmethod
    def _give(answer: Answer, words: list[str]) -> Output:
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, str):
            return Output(answer, "")
        answer(words)
        return Output("", "")


def missing(program: str) -> CommandError:
    """Return the error of a program that this machine does not have."""
    return CommandError(f"`{program}` cannot be run: no such file")

"""Places of a bank for operands, and what is in them while a program is written."""

from collections.abc import Iterable

__all__ = ["Slots"]


class Slots:
    """Places of a bank for operands, given out in turn.

    Attributes
    ----------
    before
        What all slots are filled after.
    filled
        The instruction that filled each slot.
    """

    def __init__(self, count: int, before: Iterable[int] = ()) -> None:
        self.count, self.before = count, list(before)
        self.filled: dict[int, int] = {}
        self._slots: dict[object, int] = {}  # by what is in them, that used last last
        self._users: dict[int, dict[int, int]] = {}  # instructions that used a slot last, by their unit
        self._coming: dict[int, int] = {}  # uses that are still to be written

    def take(self, content: object, uses: int) -> tuple[int, list[int] | None]:
        """Give a slot for so many uses of its content, and what it must be filled after, or None if the content is there.

        Raises
        ------
        RuntimeError
            If all slots are still to be used: the order of the operations is wrong.
        """
        after = None
        if content in self._slots:
            slot = self._slots.pop(content)
        elif len(self._slots) < self.count:
            slot, after = len(self._slots), self.before
        else:
            free = (old for old, slot in self._slots.items() if not self._coming[slot])
            old = next(free, None)
            if old is None:
                raise RuntimeError(f"a slot is wanted while all {self.count} are still to be used")
            slot = self._slots.pop(old)
            after = list(self._users.pop(slot, {}).values())
        self._slots[content] = slot
        self._coming[slot] = self._coming.get(slot, 0) + uses
        return slot, after

    def use(self, slot: int, users: dict[int, int]) -> None:
        """Note a use, by an instruction of each of these units."""
        self._coming[slot] -= 1
        self._users.setdefault(slot, {}).update(users)

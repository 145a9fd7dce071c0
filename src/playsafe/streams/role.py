"""The role's rows: "role", and "role.flagged" for those that the method's `select` chose."""

from __future__ import annotations

from typing import Any

from playsafe import sources
from playsafe.data.fitting import Fitted, render_dialogue
from playsafe.data.rows import Row, reply_marks
from playsafe.errors import CheckFailed
from playsafe.records import Dialogue, Role
from playsafe.sources import RoleData, system_text
from playsafe.streams import Material, Rows
from playsafe.terms import Loss


def data(material: Material, role: Role) -> RoleData:
    """Training rows and references of a role, read once."""
    return material.once(("data", role.name), lambda: sources.role_data(material.config.data, role))


def fitted(material: Material, role: Role) -> list[tuple[Dialogue, Fitted]]:
    """Every training row with what became of it under the length limit."""
    return material.once(("fitted", role.name), lambda: _fitted(material, role))


def _fitted(material: Material, role: Role) -> list[tuple[Dialogue, Fitted]]:
    settings, renderer = material.config.data, material.aligned().renderer
    system = system_text(material.config.training.system, role)
    rows = [
        (d, render_dialogue(renderer, d, system, settings.max_length, settings.overlong))
        for d in data(material, role).train
    ]
    context = data(material, role).counts.get("context_replies", 0)
    if context:
        material.note(
            f"{role.name}: {context} replies before the last of their rows are read, not trained on"
        )
    lost = sum(f.outcome == "dropped" for _, f in rows)
    if lost:
        material.note(f"{role.name}: {lost} of {len(rows)} rows are over max_length and dropped")
    return rows


class RoleStream:
    provides: frozenset[str] = frozenset()

    def identity(self, material: Material) -> Any:
        role = material.role
        if role is None:
            return None
        return [data(material, role).hash, system_text(material.config.training.system, role)]

    def rows(self, material: Material, terms: Loss, first: int) -> Rows:
        """Nothing in a study without roles."""
        role = material.role
        if role is None:
            return Rows([], {})
        given, every = data(material, role), fitted(material, role)
        kept = [(d, f.rendered) for d, f in every if f.rendered is not None]
        _all_accounted(len(given.train), len(kept), len(every) - len(kept))
        chosen = material.select([d.id for d, _ in kept])
        rows = [
            Row(
                "role.flagged" if dialogue.id in chosen.ids else "role",
                number,
                rendered.ids,
                {"reply": reply_marks(rendered.reply_mask)},
            )
            for number, (dialogue, rendered) in enumerate(kept, first)
        ]
        counts = {**given.counts, "trained": len(rows), "dropped": len(given.train) - len(rows)}
        about = {"share": chosen.share, "rule": chosen.rule, "counts": counts}
        return Rows([(row,) for row in rows], about)


def _all_accounted(total: int, trained: int, dropped: int) -> None:
    """No row is lost without being reported."""
    if total != trained + dropped:
        raise CheckFailed(f"{total} rows came in, {trained} are trained and {dropped} reported as dropped.")


STREAM = RoleStream()

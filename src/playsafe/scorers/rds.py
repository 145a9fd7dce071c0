"""RDS (SaRFT, arXiv 2502.20968): how much likelier a reply is under role + unsafe prompt than under the role.

gap = a_unsafe − a_role,  a_k = (1/|y|) Σ_t log p_ref(y_t | s_k, x, y_<t)
"""

from __future__ import annotations

from typing import Any

from playsafe.records import Score
from playsafe.scorers import Work
from playsafe.scoring import model_can_read, score_rows


class RDS:
    name = "rds"
    summary = "log-likelihood under role + unsafe prompt minus that under the role prompt"
    source = "arXiv 2502.20968"
    unit = "nats"

    def score(self, work: Work) -> None:
        role, render = work.role, work.renderer.render
        under_role, under_unsafe = (
            [render(f.messages, d.reply, system=system, where=d.source) for d, f in work.rows]
            for system in (role.prompt, role.unsafe_prompt)
        )
        model_can_read(work.model, [*under_role, *under_unsafe], f"role {role.name}")
        score_rows(
            work.model,
            role.name,
            [d.id for d, _ in work.rows],
            under_role,
            under_unsafe,
            work.path,
            tokens_per_batch=work.config.scoring.tokens_per_batch,
            advance=work.advance,
        )

    def value(self, line: dict[str, Any]) -> float:
        return Score.from_json(line).gap


SCORER = RDS()

"""bw-runbook: a guided, provable runbook that wires a PBX to Bandwidth Programmable Voice."""

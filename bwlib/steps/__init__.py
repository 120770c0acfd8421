"""The decisions of the runbook, as plain functions: plan_*, ensure_* (Apply), check_* (Verify), remove_* (Undo).

One file per noun: application, realm, sip_credential, pbx (trunk, outbound route, extension), calls.
Every ensure_* looks first, writes only the difference, and reads back field by field; a second run says `unchanged`.
"""

"""From evidence to the cause: probes look and change nothing, one table of rules says what follows from what they saw.

`facts` what a probe found · `at_bandwidth`, `at_callback`, `at_realm`, `at_pbx`, `by_call` the probes ·
`ladder` what SIP messages say · `rules` the table · `verdict` how the table is read · `look` all of it, within a time.
"""

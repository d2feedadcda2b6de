"""The console: pages for people, below ``/console/``.

It translates as a dialect does: its screens call actions, and the policy decides. One screen is one
module of ``screens`` and one template of the same name.
"""

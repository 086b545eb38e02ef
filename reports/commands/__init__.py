"""The subcommands of `devicekit`, one file each; `reports.command` finds them by looking into this folder.

How to write one is said in `reports.commands.common`.
"""

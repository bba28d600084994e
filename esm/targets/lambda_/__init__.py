"""Functions of AWS Lambda, or of whatever speaks its Invoke API at another endpoint.

The underscore is there because `lambda` is a word of Python's; the configuration says `type: lambda`.
"""

from esm.plugins import TargetPlugin
from esm.targets.lambda_.options import LambdaOptions, parse
from esm.targets.lambda_.permissions import permissions
from esm.targets.lambda_.target import LambdaTarget, open_lambda

__all__ = ["PLUGIN", "LambdaOptions", "LambdaTarget", "open_lambda"]

PLUGIN = TargetPlugin("lambda", LambdaOptions, parse, open_lambda, permissions=permissions)

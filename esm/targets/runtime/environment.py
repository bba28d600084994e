"""The environment of a worker that the engine starts: the engine's own, with the variables that Lambda sets.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
"""

from collections.abc import Mapping

from esm.targets.local_function import Identity, memory


def variables(
    identity: Identity, handler: str, folder: str, added: Mapping[str, str], inherited: Mapping[str, str]
) -> dict[str, str]:
    """What every worker of a target has in common. `added` wins over all others, `inherited` only has its region
    kept.
    """
    region = inherited.get("AWS_REGION", identity.region)
    return {
        **inherited,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": inherited.get("AWS_DEFAULT_REGION", region),
        "AWS_LAMBDA_FUNCTION_NAME": identity.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory()),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{identity.name}",
        "LAMBDA_TASK_ROOT": folder,
        "_HANDLER": handler,
        **added,
    }


def of_worker(common: Mapping[str, str], number: int, api: str) -> dict[str, str]:
    """`api`: host and port of the Runtime API for this one."""
    return {**common, "AWS_LAMBDA_LOG_STREAM_NAME": f"worker-{number}", "AWS_LAMBDA_RUNTIME_API": api}

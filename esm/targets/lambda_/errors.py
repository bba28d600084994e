"""The errors of Lambda's Invoke, and whether each of them passes, lasts or is the batch's own fault.

Lambda answers an error of its own where it did not get as far as the function
(https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors); what the function does wrong
comes with status 200. So an error is a refusal, and costs the records nothing, but for those that the batch
itself provokes (docs/decisions/0021-errors-of-lambda.md).
"""

from collections.abc import Mapping

from esm.clients.aws_errors import short_code
from esm.model import Outcome

# The function is not ready, or AWS has a bad moment: asked again soon.
_PASSING = (
    "CodeArtifactUserPendingException",
    "EC2UnexpectedException",
    "EFSIOException",
    "EFSMountConnectivityException",
    "EFSMountTimeoutException",
    "ENINotReadyException",
    "ResourceConflictException",
    "ResourceNotReadyException",
    "S3FilesMountConnectivityException",
    "S3FilesMountTimeoutException",
    "ServiceException",
    "SnapStartNotReadyException",
    "SnapStartTimeoutException",
)

# Something is used up for now: concurrency, a rate, addresses, network interfaces.
_THROTTLED = (
    "EC2ThrottledException",
    "ENILimitReachedException",
    "ServiceQuotaExceededException",
    "SubnetIPAddressLimitReachedException",
    "TooManyRequestsException",
)

# Nothing changes until a person acts: on the function, its role, its key, its network, or on the mapping.
_LASTING = (
    "CodeArtifactUserDeletedException",
    "CodeArtifactUserFailedException",
    "DurableExecutionAlreadyStartedException",
    "EC2AccessDeniedException",
    "EFSMountFailureException",
    "InvalidParameterValueException",
    "InvalidRuntimeException",
    "InvalidSecurityGroupIDException",
    "InvalidSubnetIDException",
    "InvalidZipFileException",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "ModeNotSupportedException",
    "NoPublishedVersionException",
    "RecursiveInvocationException",
    "ResourceNotFoundException",
    "S3FilesMountFailureException",
    "SnapStartException",
    "SnapStartRegenerationFailureException",
    "UnsupportedMediaTypeException",
)

# These very records are the trouble: held back, they would be refused for ever and block what is behind them.
_OF_THE_BATCH = (
    "InvalidRequestContentException",
    "RequestTooLargeException",
    "SerializedRequestEntityTooLargeException",
)

ERRORS: Mapping[str, Outcome] = (
    dict.fromkeys(_PASSING, Outcome.UNREACHABLE)
    | dict.fromkeys(_THROTTLED, Outcome.THROTTLED)
    | dict.fromkeys(_LASTING, Outcome.MISCONFIGURED)
    | dict.fromkeys(_OF_THE_BATCH, Outcome.FUNCTION_ERROR)
)
"""Every error that Invoke declares."""


def meaning(code: str, status: int) -> Outcome:
    """What an error means; `code` is empty where the answer named none.

    Besides its own errors, every service of AWS answers the common ones: access, signature, throttling
    (https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html). What nobody knows is judged by its
    status, and a status that Invoke never gives means that something else answers at this address.
    """
    if code in ERRORS:
        return ERRORS[code]
    short, _ = short_code(code)
    if short == "Throttling":
        return Outcome.THROTTLED
    if short == "ServiceError":
        return Outcome.UNREACHABLE
    return _by_status(status)


def _by_status(status: int) -> Outcome:
    if status == 413:
        return Outcome.FUNCTION_ERROR
    if status == 429:
        return Outcome.THROTTLED
    return Outcome.UNREACHABLE if status >= 500 else Outcome.MISCONFIGURED

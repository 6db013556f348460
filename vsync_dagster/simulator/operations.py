"""The operations the simulator answers, by DICT's operation ids, and the policy each is charged to."""

from enum import StrEnum


class Operation(StrEnum):
    """DICT's operation ids; the download of a CID set file is a service beside the API."""

    CREATE_SYNC_VERIFICATION = "createSyncVerification"
    CREATE_CID_SET_FILE = "createCidSetFile"
    GET_CID_SET_FILE = "getCidSetFile"
    LIST_CID_SET_EVENTS = "listCidSetEvents"
    GET_ENTRY_BY_CID = "getEntryByCid"
    LIST_POLICIES = "bucketStates"
    GET_POLICY = "getPolicy"
    DOWNLOAD_CID_SET_FILE = "downloadCidSetFile"


POLICIES = {
    Operation.CREATE_SYNC_VERIFICATION: "SYNC_VERIFICATIONS_WRITE",
    Operation.CREATE_CID_SET_FILE: "CIDS_FILES_WRITE",
    Operation.GET_CID_SET_FILE: "CIDS_FILES_READ",
    Operation.LIST_CID_SET_EVENTS: "CIDS_EVENTS_LIST",
    Operation.GET_ENTRY_BY_CID: "CIDS_ENTRIES_READ",
    Operation.LIST_POLICIES: "POLICIES_LIST",
    Operation.GET_POLICY: "POLICIES_READ",
}

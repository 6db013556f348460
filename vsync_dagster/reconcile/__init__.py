"""The core: CIDs, VSyncs, set differences, classification. Pure: no Dagster, no HTTP, no database."""

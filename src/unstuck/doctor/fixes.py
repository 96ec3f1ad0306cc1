"""The repairs that a diagnosis can write: a pipeline before the model."""

from unstuck.doctor.findings import Finding, Report


def pipeline_fix(finding: Finding) -> str:
    """The text of the pipeline file that repairs what ``finding`` says; empty where none does."""
    return str(finding.evidence.get("pipeline") or "")


def pipeline_of(report: Report) -> str:
    """The same of the finding that became the verdict; empty where there is none, or no pipeline repairs it."""
    reached = report.verdict
    found = [
        each
        for each in report.findings
        if reached and each.status == "fault" and each.cause == reached.cause and each.location == reached.location
    ]
    return next((text for each in found if (text := pipeline_fix(each))), "")

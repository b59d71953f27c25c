//! Properties of the simulated resource types.

/// Returns the required and the optional properties of a resource type, according to its CloudFormation schema.
pub(super) fn properties(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        "AWS::CloudFront::Distribution" => (&["DistributionConfig"], &["Tags"]),
        "AWS::CloudFront::OriginAccessControl" => (&["OriginAccessControlConfig"], &[]),
        "AWS::CloudWatch::Alarm" => (
            &["ComparisonOperator", "EvaluationPeriods"],
            &[
                "ActionsEnabled",
                "AlarmActions",
                "AlarmDescription",
                "AlarmName",
                "DatapointsToAlarm",
                "Dimensions",
                "EvaluateLowSampleCountPercentile",
                "ExtendedStatistic",
                "InsufficientDataActions",
                "MetricName",
                "Metrics",
                "Namespace",
                "OKActions",
                "Period",
                "Statistic",
                "Tags",
                "Threshold",
                "ThresholdMetricId",
                "TreatMissingData",
                "Unit",
            ],
        ),
        "AWS::IAM::Role" => (
            &["AssumeRolePolicyDocument"],
            &[
                "Description",
                "ManagedPolicyArns",
                "MaxSessionDuration",
                "Path",
                "PermissionsBoundary",
                "Policies",
                "RoleName",
                "Tags",
            ],
        ),
        "AWS::IAM::Policy" => (&["PolicyDocument", "PolicyName"], &["Groups", "Roles", "Users"]),
        "AWS::IAM::ManagedPolicy" => {
            (&["PolicyDocument"], &["Description", "Groups", "ManagedPolicyName", "Path", "Roles", "Users"])
        }
        "AWS::Logs::LogGroup" => {
            (&[], &["DataProtectionPolicy", "KmsKeyId", "LogGroupClass", "LogGroupName", "RetentionInDays", "Tags"])
        }
        "AWS::Lambda::Function" => (
            &["Code", "Role"],
            &[
                "Architectures",
                "DeadLetterConfig",
                "Description",
                "Environment",
                "EphemeralStorage",
                "FunctionName",
                "Handler",
                "KmsKeyArn",
                "Layers",
                "LoggingConfig",
                "MemorySize",
                "PackageType",
                "ReservedConcurrentExecutions",
                "Runtime",
                "SnapStart",
                "Tags",
                "Timeout",
                "TracingConfig",
            ],
        ),
        "AWS::SQS::Queue" => (
            &[],
            &[
                "ContentBasedDeduplication",
                "DeduplicationScope",
                "DelaySeconds",
                "FifoQueue",
                "FifoThroughputLimit",
                "KmsDataKeyReusePeriodSeconds",
                "KmsMasterKeyId",
                "MaximumMessageSize",
                "MessageRetentionPeriod",
                "QueueName",
                "ReceiveMessageWaitTimeSeconds",
                "RedriveAllowPolicy",
                "RedrivePolicy",
                "SqsManagedSseEnabled",
                "Tags",
                "VisibilityTimeout",
            ],
        ),
        "AWS::Lambda::Url" => (&["AuthType", "TargetFunctionArn"], &["Cors", "InvokeMode", "Qualifier"]),
        "AWS::Lambda::Permission" => (
            &["Action", "FunctionName", "Principal"],
            &[
                "EventSourceToken",
                "FunctionUrlAuthType",
                "InvokedViaFunctionUrl",
                "PrincipalOrgID",
                "SourceAccount",
                "SourceArn",
            ],
        ),
        _ => (&[], &[]),
    }
}

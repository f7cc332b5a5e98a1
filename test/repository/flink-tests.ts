// Flink's tests of fault tolerance and of windows, and whether each has its like here: a test that names it, or a row
// of the table in docs/checkpoints.md that says why not.
//   F1. Each name of the list is in one of both, and in one only.
//   F2. Whatever either names is in the list, so that a name that was mistyped counts for nothing.

import { isTypeScript, type SourceFile } from "./source-file.ts";

/** As Flink 2.4 has them; what only bases of others are, and batch jobs, is left out. */
const names = `
  AbstractStreamOperatorTest AcrossCheckpointFileMergingSnapshotManagerTest
  ActiveCheckpointToRescaleITCase AdaptiveSchedulerITCase AlignedCheckpointsMassiveRandomTest
  AlignedCheckpointsTest AlternatingCheckpointsTest ApproximateLocalRecoveryDownstreamITCase
  AsyncCheckpointRunnableTest AsyncWaitOperatorTest AutoRescalingITCase
  BackendRestorerProcedureTest BoundedSourceITCase BucketTest BucketsTest CdrRecoveryRaceITCase
  ChainBreakTest ChainLengthDecreaseTest ChainLengthIncreaseTest ChainLengthStatelessDecreaseTest
  ChainOrderTest ChainUnionTest ChainingMaxParallelismStateLossITCase ChangelogLocalRecoveryITCase
  ChangelogRecoveryRescaleITCase ChangelogRescalingITCase ChannelStateHandleSerializerV1Test
  ChannelStateHandleSerializerV2Test ChannelStateSerializerImplTest
  CheckpointAcknowledgeFailureITCase CheckpointAfterAllTasksFinishedITCase
  CheckpointBarrierTrackerTest CheckpointCoordinatorFailureTest
  CheckpointCoordinatorMasterHooksTest CheckpointCoordinatorRestoringTest
  CheckpointCoordinatorTest CheckpointCoordinatorTriggeringTest CheckpointFailureManagerITCase
  CheckpointFailureManagerTest CheckpointIDCounterTest CheckpointIntervalDuringBacklogITCase
  CheckpointMetadataLoadingTest CheckpointOptionsTest CheckpointPropertiesTest
  CheckpointRequestDeciderTest CheckpointRestoreWithUidHashITCase CheckpointStateRestoreTest
  CheckpointStatsHistoryTest CheckpointStoreITCase CheckpointSyncPhaseTimeoutITCase
  CheckpointedInputGateTest CheckpointsCleanerTest CliFrontendCancelTest CliFrontendCheckpointTest
  CliFrontendListTest CliFrontendSavepointTest CliFrontendStopTest CoStreamCheckpointingITCase
  CollectSinkFunctionRandomITCase CompletedCheckpointStoreTest CompletedCheckpointTest
  ContinuousEventTimeTriggerTest ContinuousFileProcessingCheckpointITCase
  ContinuousProcessingTimeTriggerTest CoordinatorEventsExactlyOnceITCase
  CoordinatorEventsToStreamOperatorRecipientExactlyOnceITCase CountTriggerTest
  DefaultCheckpointPlanCalculatorTest DefaultCheckpointPlanTest DefaultCheckpointStatsTrackerTest
  DefaultCompletedCheckpointStoreTest DefaultSchedulerCheckpointCoordinatorTest
  DynamicEventTimeSessionWindowsTest EventTimeAllWindowCheckpointingITCase
  EventTimeSessionWindowsTest EventTimeTriggerTest EventTimeWindowCheckpointingITCase
  EvictingWindowOperatorTest ExecutionTrackingCheckpointCoordinatorDeActivatorTest
  ExponentialDelayRestartBackoffTimeStrategyTest FailoverStrategyCheckpointCoordinatorTest
  FailureRateRestartBackoffTimeStrategyTest FastFailuresITCase FileUploadHandlerITCase
  FinishedSourcesWatermarkITCase FixedDelayRestartBackoffTimeStrategyTest
  FullyFinishedOperatorStateTest GlobalWindowsTest HeapAsyncSnapshotTtlStateTest
  IgnoreInFlightDataITCase IncrementalRemoteKeyedStateHandleTest
  IncrementalStateReuseAfterFailureITCase InflightDataRescalingDescriptorTest
  InternalTimerServiceImplTest JMFailoverITCase JobManagerHAProcessFailureRecoveryITCase
  JobMasterTriggerSavepointITCase JobRecoveryITCase KeyGroupPartitionerForTimersTest
  KeyedComplexChainTest KeyedStateCheckpointingITCase LocalRecoveryITCase LocalStateForwardingTest
  LocalStreamingFileSinkTest ManualCheckpointITCase MapStateNullValueCheckpointingITCase
  MappingBasedRepartitionerTest MergingWindowSetTest MetadataV3SerializerTest
  MetadataV4SerializerTest MetadataV5SerializerTest MetadataV6SerializerTest
  MultipleInputStreamTaskChainedSourcesCheckpointingTest NoRestartBackoffTimeStrategyTest
  NotifyCheckpointAbortedITCase NumberSequenceSourceITCase OperatorCoordinatorHolderTest
  OperatorCoordinatorSchedulerTest OperatorEventSendingCheckpointITCase
  PartiallyFinishedSourcesITCase PendingCheckpointStatsTest PendingCheckpointTest
  ProcessFailureCancelingITCase ProcessingTimeTriggerTest ProcessingTimeWindowCheckpointingITCase
  PurgingTriggerTest ReactiveModeITCase RecoveredStateFilteringLargeRecordITCase
  RegionFailoverITCase RescaleCheckpointManuallyITCase RescaleMappingsTest
  RescaleOnCheckpointITCase RescalingITCase RestClusterClientCheckpointTriggerTest
  RestClusterClientSavepointTriggerTest RestClusterClientTest RestServerEndpointITCase
  RestartBackoffTimeStrategyFactoryLoaderTest RestartStrategyITCase RestoreStreamTaskTest
  RestoreUpgradedJobITCase ResumeCheckpointAfterClaimedNativeSavepointITCase
  ResumeCheckpointManuallyITCase SavepointFormatITCase SavepointHandlersTest SavepointITCase
  SavepointStateBackendSwitchTestBase SequentialChannelStateReaderImplTest SessionWindowITCase
  SharedStateRegistryTest SideOutputITCase SimpleRecoveryITCase SinkV2CommitterOperatorTest
  SinkV2ITCase SinkV2SinkWriterOperatorTest SlidingEventTimeWindowsTest
  SlidingProcessingTimeWindowsTest SnapshotFileMergingCompatibilityITCase
  SourceCoordinatorAlignmentTest SourceOperatorAlignmentTest SourceOperatorSplitWatermarkAlignmentTest
  SourceOperatorStreamTaskTest SourceOperatorTest SourceStreamTaskTest SourceTaskTerminationTest
  StandaloneCompletedCheckpointStoreTest StateAssignmentOperationTest StateCheckpointedITCase
  StateHandleReuseITCase StatefulJobSnapshotMigrationITCase
  StatefulJobWBroadcastStateMigrationITCase StatusWatermarkValveTest StopWithSavepointHandlersTest
  StopWithSavepointITCase StopWithSavepointTerminationHandlerImplTest
  StopWithSavepointTerminationManagerTest StreamCheckpointNotifierITCase StreamCheckpointingITCase
  StreamOperatorSnapshotRestoreTest StreamTaskCancellationBarrierTest
  StreamTaskFinalCheckpointsTest StreamTaskTest SubtaskCheckpointCoordinatorTest
  SynchronousCheckpointTest TaskCheckpointingBehaviourTest
  TaskManagerProcessFailureStreamingRecoveryITCase TimeWindowTest TimersSavepointITCase
  TumblingEventTimeWindowsTest TumblingProcessingTimeWindowsTest TwoPhaseCommitSinkFunctionTest
  UdfStreamOperatorCheckpointingITCase UnalignedCheckpointCompatibilityITCase
  UnalignedCheckpointFailureHandlingITCase UnalignedCheckpointITCase
  UnalignedCheckpointRescaleITCase UnalignedCheckpointStressITCase
  UnalignedCheckpointsCancellationTest UnalignedCheckpointsInterruptibleTimersTest
  UnalignedCheckpointsTest UpdateJobResourceRequirementsITCase
  UpdateJobResourceRequirementsRecoveryITCase VertexFinishedStateCheckerTest
  WatermarkAlignmentITCase WatermarkITCase WindowOperatorContractTest WindowOperatorTest
  WithinCheckpointFileMergingSnapshotManagerTest ZooKeeperCheckpointIDCounterITCase
  ZooKeeperCompletedCheckpointStoreITCase
  IntervalJoinOperatorTest SideOutputITCase
  AsyncRetryStrategiesTest OrderedStreamElementQueueTest
  StreamElementQueueTest UnorderedStreamElementQueueTest
`;

const page = "docs/checkpoints.md";
const heading = "## Flink's fault-tolerance tests";

/** Whatever is called as Flink calls its tests. */
const namesIn = (text: string): Set<string> =>
  new Set(text.match(/\b[A-Z][A-Za-z0-9]+(?:Test|ITCase|TestBase)\b/g));

/** What the list, the tests and the table say of each other that cannot be. */
export function checkFlinkTests(files: readonly SourceFile[], list = namesIn(names)): string[] {
  const tests = files.filter(
    (file) => isTypeScript(file) && /^test\/(?!repository\/)/.test(file.path),
  );
  const mirrored = namesIn(tests.map(({ text }) => text).join("\n"));
  const table = files.find(({ path }) => path === page)?.text.split(heading)[1] ?? "";
  const missing = namesIn(table.split("\n## ")[0]!);
  const known = [...list].flatMap((name) => {
    if (mirrored.has(name) && missing.has(name)) {
      return [`${name} is named by a test, and ${page} says that there is none.`];
    }
    if (mirrored.has(name) || missing.has(name)) return [];
    return [`${name} is named by no test, and ${page} does not say why.`];
  });
  const unknown = [...mirrored, ...missing].filter((name) => !list.has(name));
  return [...known, ...unknown.map((name) => `${name} is none of Flink's tests in the list.`)];
}

// Every limit of the system, with its unit, and the assertions by which they relate.

export const KiB = 1024;
export const MiB = 1024 * KiB;

/** Bytes of what a subtask answers to a look into its state. */
export const stateAnswerBytesMax = 16 * MiB;

/** Rows per record batch: where a frame is cut. */
export const batchRowsMax = 5_000;

/** Rows that a source takes at most before whatever else waits has its turn. */
export const sourceTurnRows = 4 * batchRowsMax;

/** Rows of the shortest turn of a source that makes them: below, what is around a batch costs more than it. */
export const turnRowsLeast = batchRowsMax / 2;

/** Rows of a frame that cost their receiver about as much as the call that brings them. */
export const frameRowsWorth = 256;

/** Bytes of one frame or of one stored topic batch. Below SQLite's 2 MB a value. */
export const frameBytesMax = 1 * MiB;

/** Data frames a sender may have unresolved on one channel: the credit. */
export const channelWindow = 6;

/** Bytes of one read from a topic partition. */
export const readBytesMax = 2 * MiB;

/** Bytes of the body of one `POST /topics/:topic/records`. */
export const ingestBodyBytesMax = 16 * MiB;

/** Records of one `POST /topics/:topic/records`: tiny ones take far more memory than body. */
export const ingestRecordsMax = 200_000;

/** Bytes of one record as JSON. */
export const recordBytesMax = 512 * KiB;

/** Bytes of a key given by a client (idempotency keys). */
export const clientKeyBytesMax = 256;

/** Milliseconds for which a topic partition remembers the key of an append. */
export const idempotencyKeyAgeMax = 7 * 24 * 60 * 60_000;

/** Keys of appends that a topic partition remembers; the oldest are forgotten for the newest. */
export const idempotencyKeysMax = 1_000_000;

/** How deep the arrays and objects of one record may nest. Whoever walks a record, user code
 * included, may do so by recursion. */
export const recordDepthMax = 64;

/** Characters of a request's URL; the platform refuses from 16 KiB on. */
export const urlLengthMax = 8 * KiB;

/** Partitions of one topic. */
export const topicPartitionsMax = 256;

/** Bytes of one subtask's snapshot that is kept in the coordinator; Flink's limit, too. */
export const inlineSnapshotBytesMax = 5 * MiB;

/** Bytes of a subtask's state without a key that need no file, whatever the threshold: offsets are a
 * few, and a file for them would be one operation of R2 per checkpoint. */
export const operatorStateInlineBytes = 512;

/** Bytes of one checkpoint that is kept in the coordinator, all subtasks together. */
export const inlineManifestBytesMax = 16 * MiB;

/** Bytes of one manifest, wherever it is kept: the states in it go to every subtask of their vertex
 * with its deployment. */
export const manifestBytesMax = 24 * MiB;

/** Bytes of one row of a resting subtask's image. */
export const imagePartBytesMax = 1_900_000;

/** Bytes of a file of rows from which on the next one is begun. */
export const fileBytesMax = 16 * MiB;

/**
 * A state that stays as it was at the barrier is encoded after it, if it has so many bytes: entries of
 * one step, some 20 ms; bytes or entries of one segment, which is restored in one; and bytes of a piece of the
 * file that they are in, which R2 has at 5 MiB or more. Of a snapshot some 25 MiB are in memory then,
 * whatever its size.
 */
export const snapshotCut = {
  lateFrom: 4 * MiB,
  stepRows: 16_384,
  segment: { bytes: 4 * MiB, rows: 65_536 },
  piece: 8 * MiB,
};

/** Default number of partitions of a topic. */
export const topicPartitionsDefault = 4;

/** Default bytes of memory for the state of one subtask: half of what an isolate has. */
export const stateMemoryBudget = 64 * MiB;

/** Bytes of one row of a local copy of a segment. Below SQLite's 2 MB a value. */
export const localPartBytesMax = 1_900_000;

/** Bytes of dead letters of one subtask that no completed checkpoint covers or that are on their way. */
export const deadLetterBytesMax = 4 * MiB;

/** Bytes of dead letters from which on a source takes no more records until some are gone. */
export const deadLetterBytesPause = 1 * MiB;

/** Deltas after which they are merged into one, or the state is written whole again. */
export const deltaChainMax = 32;

/** Milliseconds after which a channel's session is renewed, well under the 15 minutes that one
 * pending call may keep an object alive. */
export const sessionAgeMax = 60_000;

/** Milliseconds between a coordinator's probes of its subtasks. */
export const heartbeatInterval = 5_000;

/** Milliseconds after which an unanswered probe counts as a lost subtask. */
export const heartbeatTimeout = 20_000;

/** Milliseconds that a subtask must have before its next timer to rest: its image costs more than a
 * shorter rest saves. */
export const restMin = 10_000;

/** Milliseconds a source's read waits for new records before it answers empty. */
export const readWait = 5_000;

const sqliteValueBytesMax = 2_000_000;
const rpcBytesMax = 32 * MiB;

function assert(holds: boolean, rule: string): void {
  if (!holds) throw new Error(`Limits do not fit together: ${rule}`);
}
assert(
  frameBytesMax + recordBytesMax < sqliteValueBytesMax,
  "a stored batch fits one SQLite value",
);
assert(localPartBytesMax < sqliteValueBytesMax, "a row of a local copy fits one SQLite value");
assert(imagePartBytesMax < sqliteValueBytesMax, "a part of an image fits one SQLite value");
assert(ingestBodyBytesMax < rpcBytesMax, "a request body fits one RPC call");
assert(readBytesMax + frameBytesMax < rpcBytesMax, "a read fits one RPC result");
assert(deadLetterBytesMax < inlineSnapshotBytesMax, "dead letters fit a snapshot that is inline");
assert(stateAnswerBytesMax < rpcBytesMax, "a look into state fits one RPC result");
assert(deadLetterBytesMax < rpcBytesMax, "dead letters fit one append");
assert(inlineSnapshotBytesMax < inlineManifestBytesMax, "one snapshot fits its manifest");
assert(manifestBytesMax < rpcBytesMax, "the states of a vertex fit one deployment");
// Bytes are written in base64.
assert((inlineManifestBytesMax * 4) / 3 < manifestBytesMax, "what may be inline fits a manifest");
assert(heartbeatTimeout > 2 * heartbeatInterval, "one late probe is not a loss");

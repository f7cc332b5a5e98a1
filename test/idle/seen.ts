/** What the objects of app.ts did so far. */
export interface Seen {
  /** How often each object was constructed, by its kind and name. */
  readonly constructed: Record<string, number>;
  /** Names of the subtasks that came to rest, each time they did. */
  readonly resting: string[];
  /** Keys of the bucket that were read. */
  readonly bucketReads: string[];
}

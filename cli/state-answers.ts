// Answers of the routes that look into state, as far as they are read here.

export interface AsOf {
  readonly read: "live" | "checkpoint" | "savepoint";
  readonly checkpoint: number | null;
  readonly savepoint?: string;
  /** Of the deployment now, or when the snapshot was complete. */
  readonly time: number;
}

interface Schema {
  readonly holds: string;
  readonly version: number;
  readonly ttl: boolean;
}

export interface OperatorStates {
  readonly asOf: AsOf;
  readonly operators: readonly {
    readonly operator: string;
    readonly states: readonly (Schema & {
      readonly state: string;
      readonly kind: "keyed" | "operator";
      readonly redistribution?: string;
      readonly entries?: number;
    })[];
  }[];
}

export interface StateElements extends Schema {
  readonly asOf: AsOf;
  readonly kind: "operator";
  readonly redistribution: string;
  readonly subtasks: readonly {
    readonly subtask: number;
    readonly count: number;
    readonly elements: readonly unknown[];
  }[];
}

/** A moment, or one for each element of a list. */
type Expires = number | readonly number[];

export interface StateOfKey extends Schema {
  readonly asOf: AsOf;
  readonly kind: "keyed";
  readonly key: unknown;
  readonly keyGroup: number;
  readonly value?: unknown;
  readonly expires?: Expires;
  /** Of a map. */
  readonly count?: number;
  readonly entries?: readonly {
    readonly key: unknown;
    readonly value: unknown;
    readonly expires?: Expires;
  }[];
}

export interface ListedSavepoint {
  readonly id: string;
  readonly location: string;
  /** Null, with all that a manifest says, where it cannot be read; `problem` says why. */
  readonly job: string | null;
  readonly program: string | null;
  readonly checkpoint: number | null;
  readonly time: number | null;
  readonly bytes: number;
  readonly problem?: string;
}

export interface SavepointList {
  readonly savepoints: readonly ListedSavepoint[];
  readonly total: number;
  readonly next: string | null;
}

export interface SavepointDescription {
  readonly id: string;
  readonly location: string;
  readonly job: string;
  readonly program: string;
  readonly checkpoint: number;
  readonly time: number;
  readonly isSavepoint: boolean;
  readonly maxParallelism: number;
  readonly bytes: number;
  readonly rowsInChannels: boolean;
  readonly isWhole: boolean;
  readonly problems: readonly string[];
  readonly operators: readonly {
    readonly uid: string;
    readonly parallelism: number;
    readonly states: readonly {
      readonly state: string;
      readonly kind: "keyed" | "operator";
      readonly holds: string | null;
      readonly version: number | null;
      readonly redistribution?: string;
      readonly entries: number;
      readonly bytes: number;
      readonly keyGroups?: readonly object[];
    }[];
  }[];
}

export interface SavepointVerification {
  readonly id: string;
  readonly isWhole: boolean;
  readonly files: number;
  readonly entries: number;
  readonly elements: number;
  readonly bytes: number;
  readonly problems: readonly string[];
  readonly problemsInAll: number;
}

export interface ImportedSavepoint {
  readonly id: string;
  readonly location: string;
  readonly entries: number;
}

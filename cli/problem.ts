// What ends a command before it has done what it was asked, in words for the one who asked.

/** Exit codes, as `--help` tells them. */
export const exitCodes = {
  /** What was asked for is done. */
  done: 0,
  /** It was refused, or it failed: another try would end the same. */
  failed: 1,
  /** The arguments are no good; nothing was done. */
  usage: 2,
  /** The deployment is not to be reached, or cannot answer now: repeat the command. */
  unavailable: 3,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** An end with a reason. Its message is all that the user sees: what is wrong, and what to do. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = exitCodes.failed, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

export const usageProblem = (message: string): Problem => new Problem(message, exitCodes.usage);

/** The innermost reason an error gives: that of `fetch` hides in its cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (error.cause instanceof Error) return reasonOf(error.cause);
  return error.message === "" ? error.name : error.message;
}

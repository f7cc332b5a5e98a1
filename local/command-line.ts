// The command lines of what runs on the local runtime: arguments in, an exit code out.
//   M1. Exit code 0: it held. 1: it did not, or something failed. 2: the arguments are no good.
//   M2. SIGINT and SIGTERM end a run by its signal, so that it can leave nothing behind.

export type Command<Options> =
  | { readonly kind: "run"; readonly options: Options }
  | { readonly kind: "help" }
  | { readonly kind: "refused"; readonly reason: string };

/** The command that `read` makes of the arguments; what it throws is the reason of a refusal. */
export function commandFrom<Options>(read: () => Options | "help"): Command<Options> {
  try {
    const options = read();
    return options === "help" ? { kind: "help" } : { kind: "run", options };
  } catch (error) {
    return { kind: "refused", reason: (error as Error).message };
  }
}

export interface NumberRange {
  readonly least: number;
  readonly most: number;
}

export function wholeNumber(name: string, text: string, { least, most }: NumberRange): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new RangeError(`${name} is "${text}"; it must be a whole number from ${least} to ${most}.`);
}

export interface Program<Options> {
  /** As in `npm run demo`. */
  readonly script: string;
  readonly usage: string;
  /** Resolves with whether it held; the signal is aborted when the user has had enough. */
  readonly run: (options: Options, interrupted: AbortSignal) => Promise<boolean>;
}

/** Does what the command says, and sets the exit code of this process. */
export async function execute<Options>(
  command: Command<Options>,
  { script, usage, run }: Program<Options>,
): Promise<void> {
  switch (command.kind) {
    case "help":
      console.log(usage);
      return;
    case "refused":
      console.error(`${command.reason}\nSee npm run ${script} -- --help`);
      process.exitCode = 2;
      return;
    case "run": {
      const interruption = new AbortController();
      // Not once: npm may hand on a signal that the terminal has sent to everyone.
      for (const name of ["SIGINT", "SIGTERM"] as const) {
        process.on(name, () => interruption.abort(new Error(`It was ended by ${name}.`)));
      }
      try {
        process.exitCode = (await run(command.options, interruption.signal)) ? 0 : 1;
      } catch (error) {
        console.error(`The ${script} failed. ${(error as Error).message}`);
        process.exitCode = 1;
      }
    }
  }
}

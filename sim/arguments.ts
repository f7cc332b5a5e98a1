// What the command line of the simulator says. Pure, so that what is refused can be tested.

export interface Arguments {
  readonly from: number;
  readonly seeds: number;
  /** Ends at the first world that fails. */
  readonly isFirstOnly: boolean;
  readonly isTraced: boolean;
  readonly isJson: boolean;
  /** Small worlds only; a seed is then another world. */
  readonly isSmall: boolean;
}

export type ArgumentsOutcome =
  | { readonly kind: "run"; readonly arguments: Arguments }
  | { readonly kind: "help" }
  | { readonly kind: "refused"; readonly problem: string };

export const usage = `Usage: npm run sim -- [options]

Runs the production cores of coordinator, subtasks and sources in worlds drawn from seeds, and checks
them from outside. See docs/simulation.md.

  --seeds N   worlds to run (1000)
  --from N    the first seed (1)
  --seed N    one world only
  --trace     prints what happens, world by world; best with --seed
  --first     ends at the first world that fails
  --small     small worlds only; the same seed is then another world
  --json      one JSON object as the last line: seeds, failed, worldsPerSecond, …
  --help      this text

The exit code is 0 when every world held, 1 when one failed, 2 for arguments that make no sense.`;

const seedMax = 2 ** 32 - 1;

export function argumentsOf(given: readonly string[]): ArgumentsOutcome {
  const numbers = new Map<string, number>();
  const flags = new Set<string>();
  const rest = [...given];
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    const [option = "", inline] = name.split("=", 2);
    if (option === "--help") return { kind: "help" };
    if (["--trace", "--json", "--first", "--small"].includes(option) && inline === undefined) {
      flags.add(option);
    } else if (["--seeds", "--seed", "--from"].includes(option)) {
      const text = inline ?? rest.shift();
      const value = text !== undefined && /^\d+$/.test(text) ? Number(text) : -1;
      const least = option === "--seeds" ? 1 : 0;
      if (value < least || value > seedMax) {
        const allowed = `a whole number from ${least} to ${seedMax}`;
        return {
          kind: "refused",
          problem: `${option} is ${text ?? "missing"}; allowed: ${allowed}.`,
        };
      }
      numbers.set(option, value);
    } else {
      return { kind: "refused", problem: `There is no option "${name}".` };
    }
  }
  const seed = numbers.get("--seed");
  if (seed !== undefined && (numbers.has("--seeds") || numbers.has("--from"))) {
    return { kind: "refused", problem: "--seed is one world; leave --seeds and --from out." };
  }
  return {
    kind: "run",
    arguments: {
      from: seed ?? numbers.get("--from") ?? 1,
      seeds: seed === undefined ? (numbers.get("--seeds") ?? 1_000) : 1,
      isFirstOnly: flags.has("--first"),
      isTraced: flags.has("--trace"),
      isJson: flags.has("--json"),
      isSmall: flags.has("--small"),
    },
  };
}

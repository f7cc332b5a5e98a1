import { Command } from "commander";

import { folderOf, snapshotManifest } from "../../../format/paths.ts";
import { outcomeOf, triggered, triggerFrom } from "../../operations.ts";
import { durationOption, sessionOf } from "../../options.ts";
import { printJson } from "../../output.ts";

interface Options {
  readonly triggerId?: string;
  readonly waitTimeout: number;
}

export const deleteCommand = (interrupted: AbortSignal): Command =>
  new Command("delete")
    .description("delete a savepoint that no job needs, and wait until it is")
    .argument("<id>", "its id or location")
    .option(
      "--trigger-id <id>",
      "32 hex digits; the same id is the same request, so repeating it is safe",
      triggerFrom,
    )
    .addOption(durationOption("--wait-timeout <duration>", "how long to wait", "10 min"))
    .action(async (id: string, options: Options, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const manifest = snapshotManifest(id);
      // What is no id either is refused, and the deployment says why.
      const location = manifest === undefined ? id : folderOf(manifest).replace(/\/$/, "");
      const trigger = await triggered(options.triggerId, (triggerId) =>
        api.dispose(location, triggerId),
      );
      await outcomeOf(api, {
        what: "The disposal",
        path: ["savepoint-disposal", trigger],
        within: options.waitTimeout,
      });
      if (isJson) printJson({ "request-id": trigger, location });
      else console.log(`${location} is deleted.`);
    });

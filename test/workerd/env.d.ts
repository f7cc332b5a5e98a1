// Types what tests import from "cloudflare:workers": `env` and `exports` of the Worker in app.ts.

type App = typeof import("./app.ts");

declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: App;
  }
  interface Env {
    DISPATCHER: DurableObjectNamespace<InstanceType<App["Dispatcher"]>>;
    COORDINATOR: DurableObjectNamespace<InstanceType<App["Coordinator"]>>;
    SUBTASK: DurableObjectNamespace<InstanceType<App["Subtask"]>>;
    TOPIC_PARTITION: DurableObjectNamespace<InstanceType<App["TopicPartition"]>>;
    BUCKET: R2Bucket;
    TWO_A_MINUTE: RateLimit;
  }
}

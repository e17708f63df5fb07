// PostGraphile over the store's own tables: its defaults, with filters (along relations too) and aggregates by its own plugins.
// Told beside that: the links between cases and parties (tags.sql), and how to count rows and group dates by month.
import { createServer } from "node:http";
import { PgAggregatesPreset } from "@graphile/pg-aggregates";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { TYPES } from "postgraphile/@dataplan/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { sql } from "postgraphile/pg-sql2";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { PostGraphileConnectionFilterPreset } from "postgraphile-plugin-connection-filter";

const CountsByMonth = {
  name: "CountsByMonth",
  version: "0.0.0",
  after: ["PgAggregatesSpecsPlugin"],
  schema: {
    hooks: {
      build: {
        after: ["PgAggregatesSpecsPlugin"],
        callback(build) {
          build.pgAggregateSpecs.push({
            id: "rows", humanLabel: "number of rows", HumanLabel: "Number of rows", isNonNull: true,
            isSuitableType: () => true,
            sqlAggregateWrap: (column) => sql`count(${column})`,
            pgTypeCodecModifier: () => TYPES.bigint,
          });
          build.pgAggregateGroupBySpecs.push({
            id: "truncated-to-month",
            isSuitableType: (codec) => codec === TYPES.date,
            sqlWrap: (column) => sql`date_trunc('month', ${column})::date`,
            sqlWrapCodec: (codec) => codec,
          });
          return build;
        },
      },
    },
  },
};
const preset = {
  extends: [PostGraphileAmberPreset, PostGraphileConnectionFilterPreset, PgAggregatesPreset],
  plugins: [CountsByMonth],
  disablePlugins: ["PgIndexBehaviorsPlugin"], // which would hide filters by columns that are no index's first
  schema: { connectionFilterRelations: true },
  pgServices: [makePgService({ connectionString: process.env.DATABASE_URL, schemas: ["public"] })],
  grafserv: { graphiql: false, watch: false },
};
const server = createServer();
await postgraphile(preset).createServ(grafserv).addTo(server);
server.listen(Number(process.env.PORT), "127.0.0.1");

import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "schema.graphql",
  documents: ["queries/*.graphql"],
  generates: {
    "gql/": {
      preset: "client",
      presetConfig: { fragmentMasking: false },
      config: {
        // 每个标量都要写明；漏写时生成失败，而不是变成 any。
        strictScalars: true,
        useTypeImports: true,
        scalars: {
          Money: "string", // "200.00"：元，两位小数；不要转成 number
          Date: "string", // "2024-06-01"
          DateTime: "string", // "2024-06-01T09:30:00+08:00"
          Uscc: "string",
          IdNo: "string",
          DivisionCode: "string",
          Long: "number",
          Cursor: "string",
          JSON: "unknown",
        },
      },
    },
  },
};

export default config;

// Reads a trace as Apollo's own library does: base64 on standard input, JSON on standard output.
import { readFileSync } from 'node:fs';
import protobuf from '@apollo/usage-reporting-protobuf';

const trace = protobuf.Trace.decode(Buffer.from(readFileSync(0, 'utf8').trim(), 'base64'));
console.log(JSON.stringify(protobuf.Trace.toObject(trace, { longs: Number })));

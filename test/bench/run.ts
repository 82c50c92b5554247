/**
 * `npm run bench [-- --quick] [section …]`: measures tssh and tsshd beside OpenSSH, npm ssh2, AsyncSSH, dropbear and Go's
 * x/crypto, all started here, on loopback. Contestants take turns (A B A B), so that what else the machine does hits all alike.
 * Prints tables of medians in Markdown and writes test/bench/results/bench.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { bulk, rekey } from './bulk.ts'
import { exec, start } from './commands.ts'
import { far, files } from './files.ts'
import { forwards } from './forwards.ts'
import { agent, keys } from './keys.ts'
import { type Ground, prepareGround } from './peers.ts'
import { logins, memory } from './servers.ts'

/** In this order. Each prints its tables and returns its rows. */
const sections: Readonly<Record<string, (ground: Ground, quick: boolean) => Promise<readonly unknown[]>>> = {
  start,
  exec,
  keys,
  agent,
  bulk,
  rekey,
  forwards,
  logins,
  memory,
  files,
  far,
}

// Node parses these certificates at every start: 40 ms that no command of any contestant needs.
delete process.env['NODE_EXTRA_CA_CERTS']

const args = process.argv.slice(2)
const quick = args.includes('--quick')
const wanted = args.filter(arg => !arg.startsWith('--'))
const unknown = wanted.find(name => !(name in sections))
if (unknown !== undefined) {
  console.error(`bench: no section ${unknown}; there are ${Object.keys(sections).join(', ')}`)
  process.exit(1)
}

const results: Record<string, readonly unknown[]> = {}
const write = (): void => {
  mkdirSync('test/bench/results', { recursive: true })
  const text = JSON.stringify({ node: process.version, quick, results }, null, 2)
  writeFileSync('test/bench/results/bench.json', `${text}\n`)
}

const ground = prepareGround()
// A signal ends the run, and its files go too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.once('exit', () => ground.close())
for (const [name, go] of Object.entries(sections)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  try {
    results[name] = await go(ground, quick)
  } catch (error) {
    console.error(`section ${name} failed: ${error instanceof Error ? error.stack : String(error)}`)
    process.exitCode = 1
  }
  write()
}

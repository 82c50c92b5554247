#!/usr/bin/env node
// Serves SSH on loopback with keys made on the spot, logs in to it with tssh, and shows what happened.
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fingerprint, formatOpensshV1, formatPublicKeyLine, generateKey } from '../../dist/src/index.js'

const bin = name => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'tssh-demo-'))
const path = name => join(folder, name)

const hostKey = generateKey('ed25519')
const userKey = generateKey('ed25519')
mkdirSync(path('.ssh'), { mode: 0o700 })
writeFileSync(path('host_key'), formatOpensshV1(hostKey), { mode: 0o600 })
writeFileSync(path('id_ed25519'), formatOpensshV1(userKey), { mode: 0o600 })
writeFileSync(path('authorized_keys'), `${formatPublicKeyLine(userKey.publicKey)}\n`, { mode: 0o600 })

const server = spawn(
  process.execPath,
  [
    bin('tsshd'),
    '-D',
    '-h',
    path('host_key'),
    '-p',
    '0',
    '-o',
    `AuthorizedKeysFile=${path('authorized_keys')}`,
    '-o',
    'StrictModes=no',
    // The time shown is tssh's, not that of the account's ~/.bashrc, which bash leaves out below another shell.
    '-o',
    'SetEnv=SHLVL=1',
  ],
  { stdio: ['ignore', 'ignore', 'pipe'] },
)

const finish = status => {
  server.kill()
  rmSync(folder, { recursive: true, force: true })
  process.exit(status)
}

const port = await new Promise(resolve => {
  let text = ''
  server.stderr.on('data', data => {
    text += data
    const found = /Server listening on \S+ port (\d+)/.exec(text)
    if (found) resolve(Number(found[1]))
  })
  server.on('exit', () => {
    process.stderr.write(text)
    finish(1)
  })
})

writeFileSync(path('known_hosts'), `[127.0.0.1]:${port} ${formatPublicKeyLine(hostKey.publicKey)}\n`)
const user = userInfo().username
const login = [
  bin('tssh'),
  '-F',
  'none',
  '-p',
  String(port),
  '-i',
  path('id_ed25519'),
  '-o',
  `UserKnownHostsFile=${path('known_hosts')}`,
  '-o',
  'StrictHostKeyChecking=yes',
  '-o',
  'IdentityAgent=none',
  `${user}@127.0.0.1`,
]
console.log(`tsshd listens on 127.0.0.1 port ${port}`)
console.log(`its host key is ${fingerprint(hostKey.publicKey.blob)} (ED25519)\n`)

const started = process.hrtime.bigint()
const ran = spawnSync(
  process.execPath,
  [...login.slice(0, -1), '-v', login.at(-1), 'echo "hello from $USER over $SSH_CONNECTION"'],
  { encoding: 'utf8' },
)
const milliseconds = Number((process.hrtime.bigint() - started) / 1_000_000n)

console.log(`$ tssh -p ${port} ${user}@127.0.0.1 'echo "hello from $USER over $SSH_CONNECTION"'`)
console.log(ran.stdout.trimEnd())
for (const line of ran.stderr.split('\n'))
  if (/kex: (algorithm|host key|server->client)|Authentication succeeded/.test(line)) console.log(`  ${line.trim()}`)
console.log(`exit status ${ran.status}, ${milliseconds} ms with process start, key exchange and login`)
if (ran.status !== 0) {
  process.stderr.write(ran.stderr)
  finish(1)
}

if (process.stdin.isTTY && process.stdout.isTTY) {
  console.log('\nNow a shell on it. Leave with exit, or ~. after a newline.\n')
  const shell = spawn(process.execPath, login, { stdio: 'inherit' })
  shell.on('exit', () => finish(0))
} else finish(0)

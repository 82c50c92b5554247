import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Algorithms, allAlgorithms } from '../../lib/algorithms/index.ts'
import type { NegotiatedAlgorithms } from '../../lib/transport/transport.ts'
import { connect } from '../../src/index.ts'
import {
  type AsyncsshClient,
  type AsyncsshServer,
  startAsyncsshClient,
  startAsyncsshServer,
} from '../support/asyncssh.ts'
import { type Listening, runProgram, startListening } from '../support/listening.ts'
import { haveProgram, havePythonModule } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'
import { cipherEvidence, compressionEvidence, type Evidence, kexEvidence, macEvidence } from './evidence-table.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const sorts = ['kex', 'cipher', 'mac', 'compression'] as const
type Sort = (typeof sorts)[number]

const tables: Readonly<Record<Sort, Readonly<Record<string, readonly Evidence[]>>>> = {
  kex: kexEvidence,
  cipher: cipherEvidence,
  mac: macEvidence,
  compression: compressionEvidence,
}

/** Keywords of ssh_config(5), and arguments of asyncssh.connect. */
const keywords: Readonly<Record<Sort, string>> = {
  kex: 'KexAlgorithms',
  cipher: 'Ciphers',
  mac: 'MACs',
  compression: 'Compression',
}
const asyncsshArguments = {
  kex: 'kex_algs',
  cipher: 'encryption_algs',
  mac: 'mac_algs',
  compression: 'compression_algs',
}

const namesOf = (sort: Sort): string[] => allAlgorithms[sort].map(({ name }) => name)
const rows = sorts.flatMap(sort => namesOf(sort).map(name => ({ sort, name, evidence: tables[sort][name] ?? [] })))
const shown = (evidence: Evidence): evidence is Extract<Evidence, string> => typeof evidence === 'string'

describe('every algorithm has evidence from outside', () => {
  test.each(rows)('$sort $name', ({ sort, name, evidence }) => {
    expect(evidence, `${name} has no row in evidence-table.ts`).not.toHaveLength(0)
    for (const each of evidence) {
      if (shown(each)) continue
      if ('sameAs' in each) {
        expect(tables[sort][each.sameAs] ?? []).not.toHaveLength(0)
        continue
      }
      expect(existsSync(`${root}${each.test}`), each.test).toBe(true)
      expect(readFileSync(`${root}${each.test}`, 'utf8')).toContain(each.mark ?? name)
    }
  })
})

/** What a session needs besides the one algorithm: a MAC needs a cipher without one. */
const companions = (sort: Sort): Partial<Record<Sort, string>> => (sort === 'mac' ? { cipher: 'aes128-ctr' } : {})

const optionLines = (sort: Sort, name: string): string[] =>
  Object.entries({ ...companions(sort), [sort]: name }).map(([key, value]) =>
    key === 'compression' ? `Compression=${value === 'none' ? 'no' : 'yes'}` : `${keywords[key as Sort]}=${value}`,
  )

const having = (evidence: Extract<Evidence, string>) => rows.filter(row => row.evidence.includes(evidence))

function expectNegotiated(names: NegotiatedAlgorithms, sort: Sort, name: string): void {
  const used = sort === 'kex' ? [names.kex] : [names.clientToServer[sort], names.serverToClient[sort]]
  expect(new Set(used)).toEqual(new Set([name]))
}

async function ourClient(port: number, sort: Sort, name: string, more: { user?: string; identityFiles?: string[] }) {
  const client = await connect({
    host: '127.0.0.1',
    port,
    configFile: 'none',
    options: [
      ...optionLines(sort, name).map(line => line.replace('=', ' ')),
      'StrictHostKeyChecking no',
      'UserKnownHostsFile /dev/null',
      'GlobalKnownHostsFile none',
      'IdentityAgent none',
    ],
    ...more,
  })
  try {
    expectNegotiated(client.algorithms, sort, name)
    expect((await client.run('echo works')).stdout.toString()).toBe('works\n')
  } finally {
    await client.close()
  }
}

/** Names of ssh -Q, which this OpenSSH has; a newer one may have lost some. */
function opensshNames(sort: Sort): ReadonlySet<string> {
  if (!haveProgram('ssh')) return new Set()
  const query = sort === 'compression' ? 'compression' : sort
  return new Set(execFileSync('ssh', ['-Q', query], { encoding: 'utf8' }).split('\n'))
}
const known = Object.fromEntries(sorts.map(sort => [sort, opensshNames(sort)])) as Record<Sort, ReadonlySet<string>>

describe.skipIf(!haveProgram('sshd'))('our client against sshd', () => {
  let peer: RunningSshd
  beforeAll(async () => {
    const offer = (['kex', 'cipher', 'mac'] as const).map(
      sort => `${keywords[sort]} ${[...known[sort]].filter(Boolean).join(',')}`,
    )
    peer = await startSshd([...offer, 'Compression yes'])
  })
  afterAll(() => peer.close())
  for (const { sort, name } of having('openssh server')) {
    test.skipIf(!known[sort].has(name))(`${sort} ${name}`, async () => {
      await ourClient(peer.port, sort, name, { user: peer.user, identityFiles: [peer.identity] })
    })
  }
})

const asyncsshIsThere = havePythonModule('asyncssh')

describe.skipIf(!asyncsshIsThere)('our client against an asyncssh server', () => {
  let peer: AsyncsshServer
  beforeAll(async () => {
    peer = await startAsyncsshServer()
  })
  afterAll(() => peer.close())
  for (const { sort, name } of having('asyncssh server')) {
    test(`${sort} ${name}`, async context => {
      if (sort !== 'compression' && !peer[sort].includes(name)) context.skip(`this asyncssh has no ${name}`)
      await ourClient(peer.port, sort, name, {})
    })
  }
})

describe('our server', () => {
  let peer: Listening
  let asyncssh: AsyncsshClient | undefined
  const algorithms: Algorithms = allAlgorithms
  beforeAll(async () => {
    peer = await startListening({ algorithms })
    if (asyncsshIsThere) asyncssh = startAsyncsshClient()
  })
  afterAll(async () => {
    asyncssh?.close()
    await peer.close()
  })

  for (const { sort, name } of having('openssh client')) {
    test.skipIf(!known[sort].has(name))(`against ssh: ${sort} ${name}`, async () => {
      const options = [
        ...optionLines(sort, name),
        'StrictHostKeyChecking=yes',
        `UserKnownHostsFile=${peer.knownHosts}`,
        'IdentitiesOnly=yes',
        'IdentityAgent=none',
      ]
      const args = ['-v', '-F', 'none', '-p', String(peer.server.port), '-i', peer.identity]
      const ran = await runProgram('ssh', [
        ...args,
        ...options.flatMap(line => ['-o', line]),
        `${peer.user}@127.0.0.1`,
        'echo works',
      ])
      expect(ran.stdout.toString(), ran.stderr).toBe('works\n')
      const line = { kex: 'kex: algorithm: ', cipher: 'cipher: ', mac: 'MAC: ', compression: 'compression: ' }[sort]
      expect(ran.stderr).toMatch(new RegExp(`${line}${name.replaceAll('.', '\\.')}\\b`))
    })
  }

  for (const { sort, name } of having('asyncssh client')) {
    test.skipIf(!asyncsshIsThere)(`against asyncssh: ${sort} ${name}`, async context => {
      const chosen = Object.entries({ ...companions(sort), [sort]: name })
      const { output, error } = await asyncssh!.run({
        port: peer.server.port,
        username: peer.user,
        client_keys: [peer.identity],
        ...Object.fromEntries(chosen.map(([key, value]) => [asyncsshArguments[key as Sort], [value]])),
      })
      if (error?.includes('not a valid')) context.skip(`this asyncssh has no ${name}`)
      expect(error).toBeUndefined()
      expect(output).toBe('works\n')
    })
  }
})

import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { decodeResponse, encodeQuery, finalName, recordType } from '../../src/net/dns/message.ts'
import { parseResolvConf, type ResolverConfig, searchNames } from '../../src/net/dns/resolv-conf.ts'
import { askDns } from '../../src/net/dns/resolver.ts'
import { lookUpSshfp } from '../../src/net/dns/sshfp.ts'
import { encodeName, type RunningDns, startDns, type Zone } from '../support/dns-server.ts'

const running: RunningDns[] = []
afterEach(() => {
  for (const server of running.splice(0)) server.close()
})

async function serve(zone: Zone, address?: string): Promise<RunningDns> {
  const server = await startDns(zone, address)
  running.push(server)
  return server
}

const configOf = (servers: readonly RunningDns[], options = ''): ResolverConfig => ({
  ...parseResolvConf(`options timeout:1 attempts:1 ${options}\n`),
  servers: servers.map(({ port }) => ({ address: '127.0.0.1', port })),
})

const sshfp = '0402aabb'
const host: Zone = { 'host.test|44': { records: [['host.test', 44, sshfp]], authentic: true } }

describe('resolv.conf(5)', () => {
  test('servers, domains and options, within the limits of the C library', () => {
    expect(
      parseResolvConf(
        '# comment\n; another\nnameserver 192.0.2.1\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver 192.0.2.4\n' +
          'nameserver no-address\ndomain old.test\nsearch a.test b.test.\noptions ndots:99 timeout:0 attempts:9 rotate\n' +
          'options trust-ad use-vc unknown:1\n',
      ),
    ).toEqual({
      servers: ['192.0.2.1', '::1', 'fe80::1%eth0'].map(address => ({ address, port: 53 })),
      search: ['a.test', 'b.test'],
      ndots: 15,
      timeout: 1,
      attempts: 5,
      rotate: true,
      trustAuthentic: true,
      alwaysTcp: true,
    })
  })

  test('the environment and the name of this machine', () => {
    expect(parseResolvConf('', {}, 'me.example.test').search).toEqual(['example.test'])
    const env = { LOCALDOMAIN: 'x.test y.test', RES_OPTIONS: 'trust-ad ndots:3' }
    expect(parseResolvConf('search a.test\n', env)).toMatchObject({
      search: ['x.test', 'y.test'],
      trustAuthentic: true,
      ndots: 3,
    })
  })

  test('the order in which names are tried', () => {
    const config = { search: ['a.test', 'b.test'], ndots: 2 }
    expect(searchNames('x', config)).toEqual(['x.a.test', 'x.b.test', 'x'])
    expect(searchNames('x.y.z', config)).toEqual(['x.y.z', 'x.y.z.a.test', 'x.y.z.b.test'])
    expect(searchNames('x.', config)).toEqual(['x'])
  })
})

describe('questions', () => {
  test('ask for signatures, and for the AD bit only where it is believed', () => {
    const of = (trustAuthentic: boolean) =>
      encodeQuery(0x1234, { name: 'host.test', type: 44 }, { edns: true, trustAuthentic })!.toString('hex')
    // The bytes that Debian's ssh sends for the same question.
    const rest = '0001000000000001' + '04686f7374047465737400' + '002c0001' + '00002904b0000080000000'
    expect(of(false)).toBe(`12340100${rest}`)
    expect(of(true)).toBe(`12340120${rest}`)
  })

  test.each(['', 'a..b', '.a', 'a.', `${'x'.repeat(64)}.test`, `${'abcdefg.'.repeat(32)}test`])(
    'the name %j cannot be asked for',
    name => {
      expect(encodeQuery(1, { name, type: 1 }, { edns: false, trustAuthentic: false })).toBeUndefined()
    },
  )

  test('each has a number and a port of its own', async () => {
    const server = await serve(host)
    for (let i = 0; i < 8; i++) await askDns({ name: 'host.test', type: 44 }, configOf([server]))
    expect(new Set(server.origins.map(({ id }) => id)).size).toBeGreaterThan(6)
    expect(new Set(server.origins.map(({ port }) => port)).size).toBeGreaterThan(6)
  })
})

describe('answers', () => {
  const ask = (name: string, config: ResolverConfig) => askDns({ name, type: recordType.sshfp }, config)

  test('are authentic where resolv.conf trusts the way to the server', async () => {
    const server = await serve(host)
    expect(await ask('host.test', configOf([server]))).toMatchObject({ kind: 'answer', authentic: false })
    expect(await ask('HOST.test', configOf([server], 'trust-ad'))).toMatchObject({ kind: 'answer', authentic: true })
  })

  test('come over TCP when they are cut, or are asked for so', async () => {
    const server = await serve({ 'host.test|44': { ...host['host.test|44'], truncated: true } })
    expect(await ask('host.test', configOf([server]))).toMatchObject({ response: { answers: [{ name: 'host.test' }] } })
    expect(await ask('host.test', configOf([server], 'use-vc'))).toMatchObject({ kind: 'answer' })
    expect(server.asked.map(({ transport }) => transport)).toEqual(['udp', 'tcp', 'tcp'])
  })

  test('to another number or question, and other bytes, are passed over', async () => {
    const server = await serve({ 'host.test|44': { ...host['host.test|44'], before: ['number', 'question', 'bytes'] } })
    expect(await ask('host.test', configOf([server]))).toMatchObject({ response: { answers: [{ name: 'host.test' }] } })
    const flood = await serve({
      'host.test|44': { ...host['host.test|44'], before: Array.from({ length: 40 }, () => 'number' as const) },
    })
    expect(await ask('host.test', configOf([flood]))).toEqual({ kind: 'failure' })
  })

  test('of a server without EDNS are asked for without', async () => {
    const server = await serve({ 'host.test|44': { ...host['host.test|44'], noEdns: true } })
    expect(await ask('host.test', configOf([server]))).toMatchObject({ response: { answers: [{ name: 'host.test' }] } })
  })

  test('come from the next server when one fails, is silent, or is not there', async () => {
    const failing = await serve({ 'host.test|44': { code: 2 } })
    const silent = await serve({ 'host.test|44': { silent: true } })
    const gone = await startDns({})
    gone.close()
    const good = await serve(host)
    expect(await ask('host.test', configOf([failing, silent, gone, good]))).toMatchObject({ kind: 'answer' })
    expect(await ask('host.test', configOf([failing, gone]))).toEqual({ kind: 'failure' })
  })

  test('that there is no such name end the search', async () => {
    const [server, other] = [await serve({}), await serve(host)]
    expect(await ask('host.test', configOf([server, other]))).toEqual({ kind: 'no-name' })
    expect(other.asked).toEqual([])
  })

  test('over IPv6', async () => {
    const server = await serve(host, '::1')
    const config = { ...configOf([]), servers: [{ address: '::1', port: server.port }] }
    expect(await ask('host.test', config)).toMatchObject({ kind: 'answer' })
  })
})

describe('SSHFP', () => {
  test('records of the name that aliases lead to, and no others', async () => {
    const server = await serve({
      'alias.test|44': {
        records: [
          ['alias.test', 5, '@host.test'],
          ['host.test', 44, '0402aa'],
          ['stranger.test', 44, '0402bb'],
          ['host.test', 46, '00'],
        ],
        authentic: true,
      },
      'empty.test|44': {},
    })
    const config = configOf([server], 'trust-ad')
    expect(await lookUpSshfp('alias.test', config)).toEqual({ records: [Buffer.from('0402aa', 'hex')], secure: true })
    expect(await lookUpSshfp('empty.test', config)).toEqual({ failure: 'data does not exist' })
    expect(await lookUpSshfp('none.test', config)).toEqual({ failure: 'name does not exist' })
    expect(await lookUpSshfp('a..b', config)).toEqual({ failure: 'general failure' })
  })
})

describe('bytes that are no answer', () => {
  const header = (count: number, flags = '8180'): string =>
    `0001${flags}0001${count.toString(16).padStart(4, '0')}00000000`
  const question = `${encodeName('a.test').toString('hex')}00010001`
  const decode = (hex: string) => decodeResponse(Buffer.from(hex, 'hex'))

  test.each([
    ['nothing', ''],
    ['a question', header(0, '0100') + question],
    ['two questions', `000181800002${'0000'.repeat(3)}${question}${question}`],
    ['a name that points to itself', `${header(0)}c00c00010001`],
    ['names that point to each other', `${header(0)}01610161c00e00010001`],
    ['a name that points forward', `${header(0)}c01000010001${question}`],
    ['a label of a reserved sort', `${header(0)}4161000001000100`],
    ['a name beyond 255 bytes', `${header(0)}${'3f'.padEnd(128, '61').repeat(5)}0000010001`],
    ['a record beyond the end', `${header(1)}${question}c00c000100010000003c000a01020304`],
    ['more records than there are', `${header(9)}${question}c00c000100010000003c000401020304`],
    ['an alias longer than its name', `${header(1)}${question}c00c000500010000003c0005c00c000000`],
  ])('%s', (_, hex) => {
    expect(decode(hex)).toBeUndefined()
  })

  test('an answer with a name that is compressed is one', () => {
    const alias = `c00c000500010000003c00040162c00e`
    expect(decode(`${header(2)}${question}${alias}c024000100010000003c000401020304`)).toMatchObject({
      answers: [
        { name: 'a.test', target: 'b.test' },
        { name: 'b.test', type: 1 },
      ],
    })
    const loop = decode(`${header(1)}${question}c00c000500010000003c0002c00c`)
    expect(finalName(loop!)).toBe('a.test')
  })

  test('any bytes, and any change of an answer, are decoded or not', () => {
    const whole = Buffer.from(
      `${header(2)}${question}c00c000500010000003c00040162c00ec024000100010000003c000401020304`,
      'hex',
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), bytes => {
        decodeResponse(Buffer.from(bytes))
        decodeResponse(Buffer.concat([whole.subarray(0, 12), bytes]))
      }),
      { numRuns: 3000 },
    )
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, byte, length) => {
        const changed = Buffer.from(whole)
        changed[at] = byte
        const decoded = decodeResponse(changed.subarray(0, length))
        if (decoded) finalName(decoded)
      }),
      { numRuns: 3000 },
    )
  })
})

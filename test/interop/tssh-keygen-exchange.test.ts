import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { generateKey, PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { keygen, keygenOutput, oursPath, type Which } from '../support/keygen.ts'
import { haveProgram } from '../support/programs.ts'

/** What one of the two makes, the other takes. */

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-exchange-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const path = (name: string): string => join(folder, name)
const run = (which: Which, ...args: string[]): Promise<string> => keygenOutput(which, args, { cwd: folder })
const other = { real: 'ours', ours: 'real' } as const
/** Without the second in which it was said. */
const timeless = (text: string): string => text.replace(/verify time \S+/g, 'verify time')
const directions = ['real', 'ours'] as const

describe.skipIf(!haveProgram('ssh-keygen')).each(directions)('made by %s', maker => {
  const reader = other[maker]
  const named = (name: string): string => `${maker}-${name}`

  test.each([
    [['-t', 'ed25519']],
    [['-t', 'ecdsa', '-b', '256']],
    [['-t', 'ecdsa', '-b', '384', '-Z', 'aes256-gcm@openssh.com']],
    [['-t', 'ecdsa', '-b', '521', '-Z', 'chacha20-poly1305@openssh.com']],
    [['-t', 'rsa', '-b', '2048', '-Z', '3des-cbc']],
    [['-t', 'ed25519', '-Z', 'aes192-cbc', '-a', '7']],
    [['-t', 'rsa', '-b', '1024', '-m', 'PEM']],
    [['-t', 'ecdsa', '-m', 'PEM']],
    [['-t', 'rsa', '-b', '2048', '-m', 'PKCS8']],
    [['-t', 'dsa']],
    [['-t', 'dsa', '-m', 'PEM']],
  ])('a key: %j', async options => {
    const name = named(options.join('').replaceAll(/\W/g, ''))
    const rounds = options.includes('-a') ? [] : ['-a', '2']
    await run(maker, '-q', '-f', name, '-N', 'a secret', '-C', 'the comment', ...rounds, ...options)
    expect(statSync(path(name)).mode & 0o777).toBe(0o600)
    expect(statSync(path(`${name}.pub`)).mode & 0o777).toBe(0o644)
    const line = readFileSync(path(`${name}.pub`), 'utf8')
      .split(' ')
      .slice(0, 2)
      .join(' ')
    const shown = await run(reader, '-y', '-P', 'a secret', '-f', name)
    expect(shown.trim()).toBe(options.includes('-m') ? line : `${line} the comment`)
    // Changed by the other, it can still be read by the first.
    await run(reader, '-q', '-p', '-a', '2', '-P', 'a secret', '-N', 'another', '-f', name)
    expect((await run(maker, '-y', '-P', 'another', '-f', name)).trim().startsWith(line)).toBe(true)
  })

  test('a certificate', async () => {
    for (const [name, type] of [
      ['ca', 'rsa'],
      ['user', 'ecdsa'],
    ] as const)
      await run(maker, '-q', '-t', type, '-N', '', '-f', named(name))
    const options = ['force-command=/bin/ls -l', 'source-address=10.0.0.0/8,::1', 'no-pty', 'no-touch-required']
    const more = ['verify-required', 'extension:login@example.com=me', 'critical:flag@example.com']
    const given = [...options, ...more].flatMap(option => ['-O', option])
    const limits = ['-n', 'me,you', '-z', '18446744073709551615', '-V', '20200101Z:20380101120000Z']
    await run(maker, '-q', '-s', named('ca'), '-I', 'an "id"', ...limits, ...given, `${named('user')}.pub`)
    const file = `${named('user')}-cert.pub`
    const seen = await run(reader, '-L', '-f', file)
    expect(seen).toBe(await run(maker, '-L', '-f', file))
    expect(seen).toContain('(using rsa-sha2-512)')
    expect(seen).toContain('force-command /bin/ls -l')
    await run(
      maker,
      '-q',
      '-s',
      named('ca'),
      '-h',
      '-t',
      'rsa-sha2-256',
      '-I',
      'h',
      '-n',
      'a.b',
      `${named('user')}.pub`,
    )
    expect(await run(reader, '-L', '-f', file)).toMatch(
      /host certificate[\s\S]*rsa-sha2-256[\s\S]*Extensions: \(none\)/,
    )
  })

  test('a key revocation list', async () => {
    const names = ['krl-ca', 'plain', 'bad', 'hashed', 'good', 'late'].map(named) as [
      string,
      string,
      string,
      string,
      string,
      string,
    ]
    for (const name of names) await run(maker, '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', name)
    const [ca, plain, bad, hashed, good, late] = names
    const certify = (serial: string, id: string, key: string) =>
      run(maker, '-q', '-s', ca, '-I', id, '-n', 'x', '-z', serial, `${key}.pub`)
    await certify('7', 'seven', good)
    const fingerprint = (await run(maker, '-l', '-f', hashed)).split(' ')[1]
    const spec = `serial: 1-3\nserial: 5\nserial: 0x10 # sixteen\nid: revoked id\nsha1: ${readFileSync(path(`${bad}.pub`), 'utf8')}hash: ${fingerprint}\n`
    writeFileSync(path(named('spec')), spec)
    const krl = named('krl')
    await run(maker, '-q', '-k', '-f', krl, '-s', ca, '-z', '12', '-C', 'a list', named('spec'), `${plain}.pub`)
    const query = (...keys: string[]) => keygen(reader, ['-Q', '-f', krl, ...keys], { cwd: folder })
    expect(await query(`${plain}.pub`)).toMatchObject({ status: 1, stdout: `${plain}.pub (${plain}): REVOKED\n` })
    expect(await query(`${good}.pub`, `${good}-cert.pub`)).toMatchObject({ status: 0 })
    expect((await query(`${bad}.pub`, `${hashed}.pub`)).stdout.match(/REVOKED/g)).toHaveLength(2)
    for (const [serial, id, revoked] of [
      ['2', 'x', true],
      ['4', 'x', false],
      ['16', 'x', true],
      ['99', 'revoked id', true],
    ] as const) {
      await certify(serial, id, good)
      expect((await query(`${good}-cert.pub`)).status).toBe(revoked ? 1 : 0)
    }
    // The other adds to it; the first sees both.
    writeFileSync(path(named('more')), readFileSync(path(`${late}.pub`)))
    await run(reader, '-q', '-k', '-u', '-f', krl, named('more'))
    for (const key of [late, plain])
      expect((await keygen(maker, ['-Q', '-f', krl, `${key}.pub`], { cwd: folder })).status).toBe(1)
    expect(await run(reader, '-Q', '-l', '-f', krl)).toBe(await run(maker, '-Q', '-l', '-f', krl))
  })

  test('a signature, and who may have made it', { timeout: 120_000 }, async () => {
    const key = named('signer')
    await run(maker, '-q', '-t', 'ed25519', '-N', '', '-f', key)
    await run(maker, '-q', '-t', 'ed25519', '-N', '', '-f', `${key}-ca`)
    await run(
      maker,
      '-q',
      '-s',
      `${key}-ca`,
      '-I',
      'x',
      '-n',
      'joe@example.com',
      '-V',
      '20200101:20300101',
      `${key}.pub`,
    )
    const message = named('message')
    writeFileSync(path(message), 'to be signed\n')
    const line = readFileSync(path(`${key}.pub`), 'utf8')
    const authority = readFileSync(path(`${key}-ca.pub`), 'utf8')
    const signers = named('signers')
    writeFileSync(
      path(signers),
      `# list\njoe@example.com,jane@* namespaces="file,git*" ${line}old@example.com valid-before="20200101" ${line}*@example.com cert-authority ${authority}`,
    )
    const verify = (which: Which, principal: string, ...more: string[]) =>
      keygen(which, ['-Y', 'verify', '-f', signers, '-I', principal, '-n', 'file', '-s', `${message}.sig`, ...more], {
        cwd: folder,
        input: 'to be signed\n',
      })
    for (const [which, file] of [
      ['plain', key],
      ['certificate', `${key}-cert.pub`],
    ] as const) {
      rmSync(path(`${message}.sig`), { force: true })
      await run(maker, '-q', '-Y', 'sign', '-n', 'file', '-O', 'hashalg=sha256', '-f', file, message)
      for (const principal of ['joe@example.com', 'jane@other', 'old@example.com']) {
        for (const more of [[], ['-O', 'verify-time=20190101'], ['-O', 'verify-time=20250101', '-O', 'print-pubkey']]) {
          const [theirs, ours] = [await verify('real', principal, ...more), await verify('ours', principal, ...more)]
          expect([principal, more, ours.status, ours.stdout]).toEqual([principal, more, theirs.status, theirs.stdout])
          expect(timeless(ours.stderr)).toBe(timeless(theirs.stderr))
        }
      }
      if (which === 'plain') expect((await verify(reader, 'joe@example.com')).status).toBe(0)
      for (const args of [
        ['find-principals', '-s', `${message}.sig`, '-O', 'verify-time=20250101'],
        ['find-principals', '-s', `${message}.sig`, '-O', 'verify-time=20190101'],
        ['match-principals', '-I', 'joe@example.com'],
        ['match-principals', '-I', 'nobody'],
        ['match-principals', '-I', 'joe@example.com', '-O', 'verify-time=20200101'],
        ['check-novalidate', '-n', 'file', '-s', `${message}.sig`],
        ['check-novalidate', '-n', 'other', '-s', `${message}.sig`],
      ]) {
        const command = ['-Y', args[0]!, ...(args[0] === 'check-novalidate' ? [] : ['-f', signers]), ...args.slice(1)]
        const both = await Promise.all(
          directions.map(program => keygen(program, command, { cwd: folder, input: 'to be signed\n' })),
        )
        expect([command, both[1]!.stdout]).toEqual([command, both[0]!.stdout])
        expect(both[1]!.status).toBe(both[0]!.status)
      }
    }
    await run(maker, '-q', '-k', '-f', named('revoked'), `${key}.pub`)
    for (const program of directions)
      expect((await verify(program, 'joe@example.com', '-r', named('revoked'))).status).not.toBe(0)
    const signed = await keygen(maker, ['-q', '-Y', 'sign', '-n', 'file', '-f', key], { cwd: folder, input: 'x' })
    writeFileSync(path(`${message}.sig`), signed.stdout)
    const good = ['-Y', 'check-novalidate', '-n', 'file', '-s', `${message}.sig`]
    expect((await keygen(reader, good, { cwd: folder, input: 'x' })).status).toBe(0)
    expect((await keygen(reader, good, { cwd: folder, input: 'y' })).status).toBe(255)
  })

  test('hashed known_hosts', async () => {
    const file = named('known_hosts')
    await run(maker, '-q', '-t', 'ed25519', '-N', '', '-f', named('host'))
    const [type, base64] = readFileSync(path(`${named('host')}.pub`), 'utf8').split(' ')
    writeFileSync(path(file), `one.example,[two.example]:22022 ${type} ${base64}\n`)
    chmodSync(path(file), 0o644)
    await run(maker, '-H', '-f', file)
    expect(readFileSync(path(file), 'utf8')).not.toContain('example')
    expect(statSync(path(file)).mode & 0o777).toBe(0o644)
    expect(readFileSync(path(`${file}.old`), 'utf8')).toContain('one.example')
    for (const host of ['one.example', '[two.example]:22022'])
      expect(await run(reader, '-F', host, '-f', file)).toContain(`${type} ${base64}`)
    await run(reader, '-R', 'one.example', '-f', file)
    expect((await keygen(maker, ['-F', 'one.example', '-f', file], { cwd: folder })).status).toBe(1)
    expect((await keygen(maker, ['-F', '[two.example]:22022', '-f', file], { cwd: folder })).status).toBe(0)
  })

  test('host keys of -A', async () => {
    execFileSync('mkdir', ['-p', path(`${named('root')}/etc/ssh`)])
    await run(maker, '-A', '-f', named('root'))
    for (const type of ['rsa', 'ecdsa', 'ed25519']) {
      const file = `${named('root')}/etc/ssh/ssh_host_${type}_key`
      const before = readFileSync(path(file))
      expect(await run(reader, '-l', '-f', file)).toContain(type.toUpperCase())
      await run(reader, '-A', '-f', named('root'))
      expect(readFileSync(path(file)).equals(before)).toBe(true)
      expect(statSync(path(file)).mode & 0o777).toBe(0o600)
    }
  })
})

describe.skipIf(!haveProgram('ssh-agent'))('with keys in an agent', () => {
  let agent: ChildProcess
  const socket = (): string => path('agent.sock')
  beforeAll(async () => {
    agent = spawn('ssh-agent', ['-D', '-a', socket()], { stdio: 'ignore' })
    for (let i = 0; i < 100 && !existsSync(socket()); i++) await new Promise(resolve => setTimeout(resolve, 20))
    for (const [name, type] of [
      ['held', 'ed25519'],
      ['held-rsa', 'rsa'],
    ] as const) {
      await run('ours', '-q', '-t', type, '-N', '', '-f', name)
      execFileSync('ssh-add', ['-q', path(name)], { env: { ...process.env, SSH_AUTH_SOCK: socket() } })
      rmSync(path(name))
    }
  })
  afterAll(() => agent.kill())
  const withAgent = (...args: string[]) =>
    keygen('ours', args, { cwd: folder, input: 'data', env: { SSH_AUTH_SOCK: socket() } })

  test.each(['held', 'held-rsa'])('%s certifies and signs', async name => {
    await run('ours', '-q', '-t', 'ecdsa', '-N', '', '-f', `${name}-subject`)
    const made = await withAgent('-U', '-s', `${name}.pub`, '-I', 'agent', '-n', 'me', `${name}-subject.pub`)
    expect(made).toMatchObject({ status: 0 })
    const shown = await run(haveProgram('ssh-keygen') ? 'real' : 'ours', '-L', '-f', `${name}-subject-cert.pub`)
    expect(shown).toContain('Key ID: "agent"')
    if (name === 'held-rsa') expect(shown).toContain('(using rsa-sha2-512)')
    const signed = await withAgent('-q', '-Y', 'sign', '-U', '-n', 'file', '-f', `${name}.pub`)
    writeFileSync(path(`${name}.sig`), signed.stdout)
    const check = ['-Y', 'check-novalidate', '-n', 'file', '-s', `${name}.sig`]
    expect((await keygen('real', check, { cwd: folder, input: 'data' })).status).toBe(0)
    const missing = await withAgent('-U', '-s', `${name}-subject.pub`, '-I', 'x', `${name}.pub`)
    expect(missing).toMatchObject({ status: 255, stderr: expect.stringContaining('not found in agent') })
  })
})

describe('keys that OpenSSH 9 does not have', () => {
  test.each(['ed448', 'mldsa44-ed25519'])('%s', async type => {
    const name = `new-${type}`
    const made = await run('ours', '-t', type, '-N', 'secret', '-a', '2', '-C', 'c', '-f', name)
    expect(made).toMatch(/^Generating public\/private \S+ key pair\.\n[\s\S]*\n\+----\[SHA256\]-----\+\n$/)
    const line = readFileSync(path(`${name}.pub`), 'utf8')
    expect(await run('ours', '-y', '-P', 'secret', '-f', name)).toBe(line)
    await run('ours', '-q', '-s', name, '-P', 'secret', '-I', 'x', '-n', 'y', `${name}.pub`)
    expect(await run('ours', '-L', '-f', `${name}-cert.pub`)).toContain('Key ID: "x"')
    writeFileSync(path('m'), 'message')
    await run('ours', '-q', '-p', '-P', 'secret', '-N', '', '-f', name)
    rmSync(path('m.sig'), { force: true })
    await run('ours', '-q', '-Y', 'sign', '-n', 'n', '-f', name, 'm')
    const checked = ['-Y', 'check-novalidate', '-n', 'n', '-s', 'm.sig']
    expect(await keygen('ours', checked, { cwd: folder, input: 'message' })).toMatchObject({ status: 0 })
  })

  test.each(['ed25519-sk', 'ecdsa-sk'])('%s needs a device, and says so', async type => {
    const refused = await keygen('ours', ['-t', type, '-N', '', '-f', 'sk'], { cwd: folder })
    expect(refused).toMatchObject({ status: 255, stderr: expect.stringContaining('no provider') })
    expect(existsSync(path('sk'))).toBe(false)
  })
})

describe.skipIf(!haveProgram('ssh-keygen'))('files of security keys', () => {
  test.each(['sk-ed25519', 'sk-ecdsa'] as const)('%s', async kind => {
    const made = generateKey(kind === 'sk-ed25519' ? 'ed25519' : 'ecdsa').numbers
    const publicValue =
      made.kind === 'ed25519' ? made.publicValue : made.kind === 'ecdsa' ? made.point : Buffer.alloc(0)
    const [keyHandle, reserved] = [Buffer.from('a handle'), Buffer.alloc(0)]
    const key = new PrivateKey({ kind, publicValue, application: 'ssh:test', flags: 1, keyHandle, reserved }, 'sk')
    writeFileSync(path(kind), formatOpensshV1(key), { mode: 0o600 })
    const line = formatPublicKeyLine(key.publicKey, 'sk')
    for (const which of directions) {
      expect((await run(which, '-y', '-f', kind)).trim()).toBe(line)
      expect(await run(which, '-l', '-f', kind)).toContain(`(${key.publicKey.label})`)
    }
    await run('ours', '-p', '-a', '2', '-N', 'secret', '-O', 'verify-required', '-O', 'no-touch-required', '-f', kind)
    expect((await run('real', '-y', '-P', 'secret', '-f', kind)).trim()).toBe(line)
    expect(parsePrivateKey(readFileSync(path(kind)), 'secret').numbers).toMatchObject({ flags: 4, keyHandle })
    const refused = await keygen('ours', ['-s', kind, '-P', 'secret', '-I', 'x', '-n', 'x', kind], { cwd: folder })
    expect(refused).toMatchObject({ status: 255, stderr: expect.stringContaining('security key') })
  })
})

describe.skipIf(!haveProgram('puttygen'))('PuTTY', () => {
  test('a key goes there and comes back by -p -m PPK and -p', async () => {
    await run('ours', '-q', '-t', 'ed25519', '-N', '', '-C', 'to putty', '-f', 'putty')
    const line = readFileSync(path('putty.pub'), 'utf8').trim()
    await run('ours', '-q', '-p', '-N', '', '-m', 'PPK', '-f', 'putty')
    expect(execFileSync('puttygen', ['-L', path('putty')], { encoding: 'utf8' }).trim()).toBe(line)
    expect((await run('ours', '-y', '-f', 'putty')).trim()).toBe(line)
    await run('ours', '-q', '-p', '-N', '', '-f', 'putty')
    expect((await run('ours', '-l', '-f', 'putty')).trim()).toContain('to putty (ED25519)')
    expect(readFileSync(path('putty'), 'utf8')).toContain('BEGIN OPENSSH PRIVATE KEY')
  })
})

test('the moduli of a small search are groups that both programs take', async () => {
  const moduli = path('moduli')
  writeFileSync(path('candidates'), smallCandidates())
  const { status, stderr } = await keygen(
    'ours',
    ['-M', 'screen', '-f', 'candidates', '-O', 'prime-tests=10', moduli],
    {
      cwd: folder,
    },
  )
  expect(status).toBe(0)
  expect(stderr).toMatch(/Found 1 safe primes of 2 candidates/)
  const ours = readFileSync(moduli, 'utf8').replace(/^\d+ /gm, '')
  if (!haveProgram('ssh-keygen')) return
  await keygen('real', ['-M', 'screen', '-f', 'candidates', '-O', 'prime-tests=10', `${moduli}.real`], { cwd: folder })
  expect(ours).toBe(readFileSync(`${moduli}.real`, 'utf8').replace(/^\d+ /gm, ''))
})

/** Whole lines of what a screening wrote, without their dates. */
const found = (file: string): string => readFileSync(file, 'utf8').replace(/^\d+ /gm, '')

describe.each(directions)('screening by %s', which => {
  const screen = (name: string, ...args: string[]) =>
    keygen(which, ['-M', 'screen', '-O', 'prime-tests=4', ...args, path(name)], { cwd: folder })

  test.skipIf(which === 'real' && !haveProgram('ssh-keygen'))('goes on where it was ended', async () => {
    const name = (text: string): string => `${which}-${text}`
    const lines = manyCandidates()
    const [program, ...first] = which === 'real' ? ['ssh-keygen'] : [process.execPath, oursPath]
    const args = [
      '-M',
      'screen',
      '-O',
      'prime-tests=4',
      '-O',
      `checkpoint=${path(name('point'))}`,
      path(name('moduli')),
    ]
    const begun = spawn(program!, [...first, ...args], { stdio: ['pipe', 'ignore', 'ignore'] })
    const ended = new Promise(resolve => begun.once('close', resolve))
    begun.stdin.write(lines.slice(0, 3).join(''))
    // It is done with the second line, and has the third or waits for the fourth.
    const point = (): string => (existsSync(path(name('point'))) ? readFileSync(path(name('point')), 'utf8') : '')
    await expect.poll(point, { timeout: 30_000 }).toBe('3\n')
    begun.kill('SIGKILL')
    await ended
    expect(found(path(name('moduli')))).toMatch(/^2 6 4 1023 /)
    writeFileSync(path(name('all')), lines.join(''))
    const again = await screen(name('moduli'), '-f', name('all'), '-O', `checkpoint=${path(name('point'))}`)
    expect(again.stderr).toMatch(new RegExp(`Loaded checkpoint from '.*${name('point')}' line 3`))
    expect(again.stderr).toMatch(/Found 2 safe primes of 3 candidates/)
    expect(existsSync(path(name('point')))).toBe(false)
    // One of the first two lines, two of what follows the third.
    expect(found(path(name('moduli'))).match(/^2 6 4 1023 /gm)).toHaveLength(3)
  })
})

test.skipIf(!haveProgram('ssh-keygen'))('both screen the same lines of a file', async () => {
  writeFileSync(path('lines'), manyCandidates().join(''))
  const ranges = [
    ['start-line=0', 'lines=2'],
    ['start-line=2', 'lines=3'],
    ['start-line=4'],
    ['lines=3', 'checkpoint=point'],
    ['start-line=1', 'lines=4', 'checkpoint=point'],
    ['start-line=100'],
  ]
  for (const range of ranges) {
    const options = range.flatMap(option => ['-O', option])
    const made = await Promise.all(
      directions.map(async which => {
        const cwd = mkdtempSync(path('range-'))
        writeFileSync(join(cwd, 'point'), '2\n')
        const args = ['-M', 'screen', '-f', path('lines'), '-O', 'prime-tests=4', ...options, 'moduli']
        const { status, stderr } = await keygen(which, args, { cwd })
        const said = stderr
          .replace(/^.{24} Found|in \d+ seconds/gm, '')
          .split('\n')
          .filter(line => !line.startsWith('debug'))
        return { status, said, moduli: found(join(cwd, 'moduli')), point: existsSync(join(cwd, 'point')) }
      }),
    )
    expect(made[1], range.join(' ')).toEqual(made[0])
  }
})

/** The prime of Oakley group 2 (RFC 2409 §6.2; 1024 bits). */
const oakley = BigInt(
  '0xFFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF',
)

/** A line of moduli(5) as the sieve writes it, for q. */
const candidate = (q: bigint): string =>
  `20260101000000 4 2 0 ${q.toString(2).length - 1} 0 ${q.toString(16).toUpperCase()}\n`

/** A prime, a comment, a composite number, a prime that was sieved as such, a composite number, a prime. */
function manyCandidates(): string[] {
  const q = oakley >> 1n
  const sieved = `20260101000000 2 2 0 1023 0 ${oakley.toString(16).toUpperCase()}\n`
  return [candidate(q), '# a comment\n', candidate(q + 60n), sieved, candidate(q + 60n), candidate(q)]
}

/** A safe prime, a number that is not prime; and a comment. */
function smallCandidates(): string {
  const q = oakley >> 1n
  // Another q for which 2 would be a generator.
  return `# candidates\n${candidate(q)}${candidate(q + 60n)}\n`
}

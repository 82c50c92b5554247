import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { startSshd } from '../support/sshd.ts'
import { type RunningTsshd, startTsshd } from '../support/tsshd.ts'

/** Each option before a key in authorized_keys, obeyed by our tsshd as OpenSSH's ssh sees it. */

describe.skipIf(!haveProgram('ssh'))('options of authorized_keys', () => {
  let peer: RunningTsshd
  beforeAll(async () => {
    peer = await startTsshd(['PermitUserEnvironment yes', 'Subsystem echo echo subsystem'])
  })
  afterAll(() => peer.close())

  /** What ssh prints and how it ends, with these options before the key. */
  async function run(options: string, ...command: string[]): Promise<{ status: unknown; out: string; err: string }> {
    peer.authorize(options)
    const { status, stdout, stderr } = await peer.ssh(...command)
    return { status, out: stdout.toString(), err: stderr }
  }
  const letsIn = async (options: string): Promise<boolean> => (await run(options, 'echo in')).out === 'in\n'

  it('command= runs in the place of what was asked for, shells and subsystems too', async () => {
    const forced = 'command="echo \\"forced: $SSH_ORIGINAL_COMMAND\\"; echo \\"quoted\\""'
    expect((await run(forced, 'echo asked')).out).toBe('forced: echo asked\nquoted\n')
    expect((await run(forced)).out).toBe('forced: \nquoted\n')
    expect((await run(forced, '-s', 'echo')).out).toBe('forced: echo subsystem\nquoted\n')
    expect((await run('', '-s', 'echo')).out).toBe('subsystem\n')
  })

  it('command= keeps its bytes, whether UTF-8 or not', async () => {
    const line = formatPublicKeyLine(peer.userKey.publicKey)
    const bytes = Buffer.concat([
      Buffer.from('command="printf \''),
      Buffer.from([0xc3, 0xa4, 0xff, 0xe9]),
      Buffer.from(`' | od -An -tx1" ${line}\n`),
    ])
    writeFileSync(peer.authorizedKeys, bytes)
    expect((await peer.ssh()).stdout.toString().trim()).toBe('c3 a4 ff e9')
    writeFileSync(peer.authorizedKeys, `command="printf 'ä' | od -An -tx1" ${line}\n`)
    expect((await peer.ssh()).stdout.toString().trim()).toBe('c3 a4')
  })

  it('environment= sets variables, the first of a name', async () => {
    const options = 'environment="TSSH_A=one two",environment="TSSH_A=second",environment="TSSH_B="'
    expect((await run(options, 'echo "$TSSH_A-$TSSH_B-"; env | grep -c ^TSSH_B')).out).toBe('one two--\n1\n')
  })

  it('pty and no-pty', async () => {
    const tty = async (options: string): Promise<string> => (await run(options, '-tt', 'tty')).out
    expect(await tty('')).toMatch(/^\/dev\/pts/)
    expect(await tty('no-pty')).not.toMatch(/^\/dev\/pts/)
    expect(await tty('restrict')).not.toMatch(/^\/dev\/pts/)
    expect(await tty('restrict,pty')).toMatch(/^\/dev\/pts/)
  })

  it('from= and expiry-time= decide who gets in', async () => {
    expect(await letsIn('from="127.0.0.1"')).toBe(true)
    expect(await letsIn('from="10.0.0.0/8,!127.0.0.1"')).toBe(false)
    expect(peer.log()).toContain('with correct key but not from a permitted host (host=127.0.0.1, ip=127.0.0.1')
    expect(await letsIn('expiry-time="29991231"')).toBe(true)
    expect(await letsIn('expiry-time="20200101Z"')).toBe(false)
  })

  it('a line that cannot be read authorises nobody', async () => {
    expect(await letsIn('no-such-option')).toBe(false)
    expect(await letsIn('command="open')).toBe(false)
    expect(await letsIn('cert-authority')).toBe(false)
    expect(await letsIn('principals="x"')).toBe(false)
    expect(await letsIn('')).toBe(true)
  })

  it('X11 and tunnels are refused, and the log says so', async () => {
    const shown = await run('', '-X', '-o', 'ForwardX11Timeout=1m', 'echo "display=$DISPLAY"')
    expect(shown.out).toBe('display=\n')
    const tunnel = await run('tunnel="1"', '-N', '-o', 'ExitOnForwardFailure=yes', '-w', '1:1')
    expect(tunnel.status).not.toBe(0)
  })

  it('several keys: each line has its own options', async () => {
    const line = formatPublicKeyLine(peer.userKey.publicKey)
    writeFileSync(
      peer.authorizedKeys,
      `# comment\n\ncommand="one",from="10.0.0.1" ${line}\nbroken" ${line}\ncommand="echo two" ${line}\n${line}\n`,
    )
    expect((await peer.ssh('echo asked')).stdout.toString()).toBe('two\n')
  })
})

it.skipIf(!haveProgram('sshd') || !haveProgram('ssh'))(
  'what was found about keys is told after the login',
  async () => {
    const told = async (authorizedKeys: string, ssh: () => Promise<Ran>): Promise<string[]> => {
      const key = readFileSync(authorizedKeys, 'utf8').trim()
      const options = [
        ...['nonsense', 'from="10.9.9.9"', 'principals="somebody"'],
        'restrict,pty,permitopen="host:1",environment="NAME=a value",command="echo $NAME"',
      ]
      writeFileSync(authorizedKeys, options.map(text => `${text} ${key}\n`).join(''))
      const ran = await ssh()
      expect(ran.stdout.toString(), ran.stderr).toBe('a value\n')
      const lines = ran.stderr.split(/\r?\n/).filter(line => line.startsWith('debug1: Remote: '))
      return lines.map(line => line.replaceAll(authorizedKeys, 'FILE'))
    }
    const config = ['PermitUserEnvironment yes', 'PrintMotd no']
    const [theirs, ours] = [await startSshd(config), await startTsshd(config)]
    try {
      const args = ['-v', '-F', 'none', '-p', String(theirs.port), '-i', theirs.identity]
      const options = ['IdentityAgent=none', `UserKnownHostsFile=${theirs.knownHosts}`, 'BatchMode=yes']
      const login = (): Promise<Ran> =>
        runProgram('ssh', [...args, ...options.flatMap(o => ['-o', o]), '127.0.0.1', 'x'], { timeout: 50_000 })
      const expected = await told(join(theirs.folder, 'authorized_keys'), login)
      expect(expected).toContain('debug1: Remote: FILE:4: key options: command environment permitopen pty')
      expect(
        await told(ours.authorizedKeys, () => runProgram('ssh', [...ours.sshArgs('-v'), 'x'], { timeout: 50_000 })),
      ).toEqual(expected)
    } finally {
      theirs.close()
      await ours.close()
    }
  },
)

describe.skipIf(!haveProgram('ssh'))('files of keys', () => {
  let peer: RunningTsshd
  let folder: string
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-keys-'))
    peer = await startTsshd([
      'StrictModes yes',
      `AuthorizedKeysFile ${folder}/%u-%U/missing ${folder}/%u/keys %h/nowhere/%% ${folder}/many/*.pub`,
    ])
    mkdirSync(join(folder, peer.user), { mode: 0o700 })
    mkdirSync(join(folder, 'many'), { mode: 0o700 })
  })
  afterAll(async () => {
    await peer.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const letsIn = async (): Promise<boolean> => (await peer.ssh('echo in')).stdout.toString() === 'in\n'

  // Everybody may write to /tmp, so that nothing below it is ever safe: sshd says the same.
  it('with StrictModes, below a folder that everybody may write to, let nobody in', async () => {
    writeFileSync(join(folder, peer.user, 'keys'), `${formatPublicKeyLine(peer.userKey.publicKey)}\n`)
    expect(await letsIn()).toBe((statSync(tmpdir()).mode & 0o022) === 0)
    if (!(await letsIn())) expect(peer.log()).toContain(`bad ownership or modes for directory ${tmpdir()}`)
  })
})

describe.skipIf(!haveProgram('ssh'))('files of keys without StrictModes', () => {
  let peer: RunningTsshd
  let folder: string
  const file = (name: string): string => join(folder, name)
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-keys-'))
    chmodSync(folder, 0o755)
    peer = await startTsshd([
      'StrictModes no',
      `AuthorizedKeysFile ${folder}/%u-%U ${folder}/second %h/nowhere/%% ${folder}/many*.pub`,
    ])
  })
  afterAll(async () => {
    await peer.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const line = (): string => `${formatPublicKeyLine(peer.userKey.publicKey)}\n`
  const letsIn = async (): Promise<boolean> => (await peer.ssh('echo in')).stdout.toString() === 'in\n'
  const only = async (name: string): Promise<boolean> => {
    writeFileSync(file(name), line())
    const result = await letsIn()
    rmSync(file(name))
    return result
  }

  it('are found by their tokens and wildcards, one after another', async () => {
    expect(await letsIn()).toBe(false)
    expect(await only(`${peer.user}-${process.getuid?.()}`)).toBe(true)
    expect(await only('second')).toBe(true)
    expect(await only('many-keys.pub')).toBe(true)
    expect(await only('other')).toBe(false)
  })

  it('that are pipes, folders or links to nothing are passed over', { timeout: 20_000 }, async () => {
    execFileSync('mkfifo', [file(`${peer.user}-${process.getuid?.()}`)])
    symlinkSync('/nonexistent', file('many1.pub'))
    mkdirSync(file('many2.pub'))
    writeFileSync(file('many3.pub'), line())
    expect(await letsIn()).toBe(true)
    expect(peer.log()).toContain('is not a regular file')
  })
})

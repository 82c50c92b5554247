import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { haveProgram, havePythonModule } from '../support/programs.ts'
import { startSshd } from '../support/sshd.ts'
import { addLinks, diskUsage, makeTree, pictureOf, type Wildness } from '../support/trees.ts'
import { startTsshd } from '../support/tsshd.ts'

/**
 * Trees of 5,000 files and files above 4 GiB, with every client there is. By hand:
 *
 *   npm run heavy:trees -- [files] [client,client...]
 *
 * "big" among the clients adds the large file.
 *
 * Each client sends a tree to tsshd and fetches it again, our commands do so with OpenSSH's sshd; then names, contents,
 * modes and times are compared, as far as the client keeps them.
 */

const root = fileURLToPath(new URL('../..', import.meta.url))
const files = Number(process.argv[2] ?? 5000)
const only = process.argv[3]?.split(',')
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tssh-trees-')))
const path = (name: string): string => join(folder, name)

interface Peer {
  readonly port: number
  readonly user: string
  readonly identity: string
  readonly knownHosts: string
}

function run(file: string, args: readonly string[], input = ''): Promise<{ status: number | null; err: string }> {
  return new Promise(resolve => {
    const child = spawn(file, [...args], { stdio: ['pipe', 'ignore', 'pipe'], timeout: 900_000 })
    let err = ''
    child.stderr.on('data', (data: Buffer) => {
      err += data.toString('latin1')
    })
    child.on('error', error => resolve({ status: -1, err: String(error) }))
    child.on('close', status => resolve({ status, err }))
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

const how = (peer: Peer): string[] => [
  ...['-q', '-F', 'none', '-i', peer.identity, '-o', `UserKnownHostsFile=${peer.knownHosts}`, '-P', String(peer.port)],
]
const ours = (name: string): string[] => [process.execPath, join(root, 'bin', `${name}.js`)]

interface Client {
  readonly name: string
  readonly tree: Wildness
  /** What find(1) shows of what must be the same. */
  readonly keeps: string
  readonly links?: boolean
  copy(peer: Peer, from: string, way: 'up' | 'down', to: string): Promise<{ status: number | null; err: string }>
}

const there = (peer: Peer, place: string): string => `${peer.user}@127.0.0.1:${place}`

const sftpLike = (name: string, command: string[]): Client => ({
  name,
  tree: 'wild',
  keeps: '%m %Ts',
  copy: (peer, from, way, to) =>
    run(
      command[0]!,
      [...command.slice(1), ...how(peer), '-b', '-', `${peer.user}@127.0.0.1`],
      `${way === 'up' ? 'put' : 'get'} -pr ${from} ${to}\n`,
    ),
})

const scpLike = (name: string, command: string[], flags: string[]): Client => ({
  name,
  // The old protocol has no way to say a newline: scp sends `\\^J` instead.
  tree: name.includes('-O') ? 'tame' : 'wild',
  keeps: '%m %Ts',
  copy: (peer, from, way, to) => {
    const [one, other] = way === 'up' ? [from, there(peer, to)] : [there(peer, from), to]
    return run(command[0]!, [...command.slice(1), ...how(peer), ...flags, one, other])
  },
})

const python = '/usr/bin/python3'
const asyncsshScript = `
import asyncssh, asyncio, sys
async def main():
    port, user, key, hosts, way, source, target = int(sys.argv[1]), *sys.argv[2:]
    async with asyncssh.connect('127.0.0.1', port, username=user, client_keys=[key], known_hosts=hosts, config=None, agent_path=None) as c:
        async with c.start_sftp_client(path_encoding='utf-8', path_errors='surrogateescape') as sftp:
            await (sftp.put if way == 'up' else sftp.get)(source, target, recurse=True, preserve=True)
asyncio.run(main())
`
const paramikoScript = `
import paramiko, sys, os, stat
port, user, key, hosts, way, source, target = int(sys.argv[1]), *sys.argv[2:]
client = paramiko.SSHClient()
client.load_host_keys(hosts)
client.connect('127.0.0.1', port, user, allow_agent=False, look_for_keys=False, key_filename=key)
sftp = client.open_sftp()
def up(a, b):
    sftp.mkdir(b)
    for name in os.listdir(a):
        x, y = a + '/' + name, b + '/' + name
        if os.path.isdir(x): up(x, y)
        else:
            sftp.put(x, y)
            sftp.chmod(y, os.stat(x).st_mode & 0o777)
def down(a, b):
    os.mkdir(b)
    for entry in sftp.listdir_attr(a):
        x, y = a + '/' + entry.filename, b + '/' + entry.filename
        if stat.S_ISDIR(entry.st_mode): down(x, y)
        else:
            sftp.get(x, y)
            os.chmod(y, entry.st_mode & 0o777)
if os.path.isfile(source): (sftp.put if way == 'up' else sftp.get)(source, target)
else: (up if way == 'up' else down)(source, target)
client.close()
`
const pythonClient = (name: string, script: string, keeps: string, tree: Wildness): Client => ({
  name,
  tree,
  keeps,
  copy: (peer, from, way, to) =>
    run(python, [
      ...['-W', 'ignore', '-c', script, String(peer.port), peer.user, peer.identity, peer.knownHosts, way],
      ...[from, to],
    ]),
})

const key = path('key.ppk')
const putty = (peer: Peer, program: string): string[] => {
  execFileSync('puttygen', [peer.identity, '-O', 'private', '-o', key], { stdio: 'ignore' })
  const line = readFileSync(peer.knownHosts, 'utf8').split('\n')[0]!.split(' ').slice(1, 3).join(' ')
  writeFileSync(path('host.pub'), `${line}\n`)
  const print = execFileSync('ssh-keygen', ['-lf', path('host.pub')], { encoding: 'utf8' }).split(' ')[1]!
  return [program, '-batch', '-hostkey', print, '-i', key, '-P', String(peer.port)]
}

const others: Client[] = [
  sftpLike('sftp', ['sftp']),
  scpLike('scp', ['scp'], ['-spr']),
  scpLike('scp -O', ['scp'], ['-Opr']),
  {
    name: 'lftp',
    tree: 'tame',
    keeps: '%m %Ts',
    links: true,
    copy: (peer, from, way, to) => {
      const ssh = `ssh -a -x -q -F none -i ${peer.identity} -o UserKnownHostsFile=${peer.knownHosts} -p ${peer.port}`
      const lines = [
        `set sftp:connect-program "${ssh}"`,
        `open -u ${peer.user}, sftp://127.0.0.1`,
        `mirror ${way === 'up' ? '-R ' : ''}${from} ${to}`,
      ]
      return run('lftp', ['-c', lines.join('; ')])
    },
  },
  {
    name: 'psftp',
    tree: 'tame',
    keeps: '',
    copy: (peer, from, way, to) => {
      writeFileSync(path('script'), `${way === 'up' ? 'put' : 'get'} -r ${from} ${to}\n`)
      const [program, ...args] = putty(peer, 'psftp')
      return run(program!, [...args, '-b', path('script'), `${peer.user}@127.0.0.1`])
    },
  },
  {
    name: 'pscp',
    tree: 'tame',
    keeps: '',
    async copy(peer, from, way, to) {
      const [program, ...args] = putty(peer, 'pscp')
      // A directory is put into one that is there.
      mkdirSync(path('into'))
      const [one, other] = way === 'up' ? [from, there(peer, path('into'))] : [there(peer, from), path('into')]
      const ran = await run(program!, [...args, '-sftp', '-r', one, other])
      renameSync(join(path('into'), basename(from)), to)
      rmSync(path('into'), { recursive: true })
      return ran
    },
  },
  ...(havePythonModule('asyncssh') ? [pythonClient('asyncssh', asyncsshScript, '%m %Ts', 'wild')] : []),
  ...(havePythonModule('paramiko') ? [pythonClient('paramiko', paramikoScript, '%m', 'tame')] : []),
  {
    name: 'sshfs',
    tree: 'wild',
    keeps: '%m',
    // Without links: sshfs itself cannot read one that is `..`, with any server.
    async copy(peer, from, way, to) {
      mkdirSync(path('mount'), { recursive: true })
      const options = `IdentityFile=${peer.identity},UserKnownHostsFile=${peer.knownHosts},port=${peer.port}`
      const mounted = await run('sshfs', [there(peer, folder), path('mount'), '-F', 'none', '-o', options])
      if (mounted.status !== 0) return mounted
      try {
        const inside = (place: string): string => place.replace(folder, path('mount'))
        // Not the owner: sshfs gives that of a link to what it leads to.
        return await run('cp', [
          '-dR',
          '--preserve=mode',
          way === 'up' ? from : inside(from),
          way === 'up' ? inside(to) : to,
        ])
      } finally {
        await run('fusermount3', ['-u', path('mount')])
      }
    },
  },
]
const own: Client[] = [
  sftpLike('tsftp', ours('tsftp')),
  scpLike('tscp', ours('tscp'), ['-pr']),
  scpLike('tscp -O', ours('tscp'), ['-Opr']),
  scpLike('tscp --resume --verify --atomic', ours('tscp'), ['-pr', '--resume', '--verify', '--atomic']),
]

function report(what: string, begun: number, problem: string | undefined): void {
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  console.log(`${problem === undefined ? 'same ' : 'WRONG'} ${what} (${seconds} s)${problem ? `: ${problem}` : ''}`)
  if (problem !== undefined) process.exitCode = 1
}

const difference = (a: readonly string[], b: readonly string[]): string | undefined => {
  const [one, other] = [new Set(a), new Set(b)]
  const missing = a.filter(line => !other.has(line)).slice(0, 3)
  const extra = b.filter(line => !one.has(line)).slice(0, 3)
  return missing.length + extra.length === 0 ? undefined : JSON.stringify({ missing, extra })
}

async function trees(clients: readonly Client[], server: string, peer: Peer): Promise<void> {
  for (const client of clients) {
    const program = client.name.split(' ')[0]!
    if (only && !only.includes(client.name)) continue
    if (!['asyncssh', 'paramiko', 'tsftp', 'tscp'].includes(program) && !haveProgram(program)) {
      console.log(`skip  ${client.name}: not installed`)
      continue
    }
    const source = path(`source-${client.tree}${client.links ? '-links' : ''}`)
    const expected = pictureOf(source, client.keeps)
    for (const [way, from, to] of [
      ['up', source, path('up')],
      ['down', path('up'), path('down')],
    ] as const) {
      const begun = performance.now()
      const ran = await client.copy(peer, from, way, to)
      let problem = ran.status === 0 ? undefined : `status ${ran.status} ${ran.err.slice(0, 300)}`
      try {
        problem ??= difference(expected, pictureOf(to, client.keeps))
      } catch (error) {
        problem ??= String(error)
      }
      report(`${client.name} ${way}, ${server}, ${expected.length} lines`, begun, problem)
    }
    for (const name of ['up', 'down']) rmSync(path(name), { recursive: true, force: true })
  }
}

/** 4.5 GiB: real data at both ends and about 2^31 and 2^32, else holes. */
function makeBig(): void {
  const at = [0, 2 ** 31 - 500_000, 2 ** 32 - 500_000, 4.5 * 2 ** 30 - 1_000_000]
  for (const offset of at)
    execFileSync('sh', [
      '-c',
      `head -c 1000000 /dev/urandom | dd of=${path('big')} bs=1000000 oflag=seek_bytes seek=${offset} conv=notrunc status=none`,
    ])
}

async function big(clients: readonly Client[], server: string, peer: Peer): Promise<void> {
  for (const client of clients) {
    for (const [way, from, to] of [
      ['up', path('big'), path('big-up')],
      ['down', path('big-up'), path('big-down')],
    ] as const) {
      const begun = performance.now()
      const ran = await client.copy(peer, from, way, to)
      let problem = ran.status === 0 ? undefined : `status ${ran.status} ${ran.err.slice(0, 300)}`
      try {
        if (!problem) execFileSync('cmp', [path('big'), to])
      } catch {
        problem = 'the contents differ'
      }
      report(`${client.name} ${way}, ${server}, 4.5 GiB, ${problem ? '?' : diskUsage(to)} KiB on disk`, begun, problem)
    }
    for (const name of ['big-up', 'big-down']) rmSync(path(name), { force: true })
  }
}

for (const tree of ['tame', 'wild'] as const) {
  for (const links of [false, true]) {
    const source = path(`source-${tree}${links ? '-links' : ''}`)
    makeTree(source, tree, files)
    if (links) addLinks(source)
  }
}
const sshd = await startSshd(['Subsystem sftp /usr/lib/openssh/sftp-server'])
const tsshd = await startTsshd(['Subsystem sftp internal-sftp'])
try {
  await trees(own, 'sshd', sshd)
  await trees([...others, ...own], 'tsshd', tsshd)
  if (!only || only.includes('big')) {
    makeBig()
    await big([own[0]!, own[1]!], 'sshd', sshd)
    const able = others.filter(({ name }) => ['sftp', 'scp', 'psftp', 'asyncssh', 'paramiko'].includes(name))
    await big([own[0]!, own[1]!, ...able], 'tsshd', tsshd)
  }
} finally {
  sshd.close()
  await tsshd.close()
  rmSync(folder, { recursive: true, force: true })
}

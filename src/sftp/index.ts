/** Moving files: SFTP clients and servers, file systems, and transfers between any two of them. */

export type { Attributes, FileType, SftpVersion } from '../../lib/sftp/attributes.ts'
export { type CopyOptions, SftpClient, type SftpClientOptions } from '../../lib/sftp/client.ts'
export { RemoteDirectory, RemoteFile } from '../../lib/sftp/file.ts'
export type {
  AccountNames,
  DataRange,
  DirectoryEntry,
  DirectoryHandle,
  FileHandle,
  FileSystem,
  FileSystemStatistics,
} from '../../lib/sftp/filesystem.ts'
export { MemoryFileSystem, type MemoryFileSystemOptions } from '../../lib/sftp/memory-filesystem.ts'
export { OpenFlag } from '../../lib/sftp/messages.ts'
export { ReadOnlyFileSystem } from '../../lib/sftp/read-only-filesystem.ts'
export { type OpenMode, RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
export { SftpServer, type SftpServerOptions, sftpRequestNames } from '../../lib/sftp/server.ts'
export { type SessionOptions, SftpSession } from '../../lib/sftp/session.ts'
export { SftpError, type SftpErrorCode, statusCodes } from '../../lib/sftp/status.ts'
export * from '../../lib/sftp/transfer.ts'
export { glob, makeDirectories, removeTree, walk } from '../../lib/sftp/tree.ts'
export type { ByteStream, ByteStreamSink } from '../../lib/wire/byte-stream.ts'
export { LocalFileSystem, type LocalFileSystemOptions } from '../net/local-filesystem.ts'
export { stdioStream } from '../net/stdio-stream.ts'

/*
 * Answers questions about this Windows, and does things to it, one line at a time.
 *
 * A request is a line of fields parted by blanks: a verb, then its arguments. Texts travel as the hexadecimal digits of
 * their UTF-16 code units, bytes as hexadecimal digits, numbers in decimal; "-" is an empty text or no bytes.
 * The answer is a line too: the Win32 error code, 0 for done, then the fields that were asked for. Rows of a list are
 * parted by ";". Nothing is interpreted on the way: codes, types and data are what the Win32 functions say.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <tlhelp32.h>
#include <winsvc.h>
#include <winver.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define MAX_FIELDS 16
#define MAX_COMMAND_OUTPUT (64u * 1024 * 1024)

/* ---- memory and text ---- */

static void *must(void *memory)
{
    if (!memory) {
        fputs("the agent is out of memory\n", stderr);
        exit(3);
    }
    return memory;
}

typedef struct {
    char *bytes;
    size_t length, capacity;
} Buffer;

static void append(Buffer *buffer, const void *bytes, size_t length)
{
    if (buffer->length + length + 1 > buffer->capacity) {
        buffer->capacity = (buffer->length + length + 1) * 2;
        buffer->bytes = must(realloc(buffer->bytes, buffer->capacity));
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    buffer->bytes[buffer->length] = 0;
}

static Buffer answer;

static void put_word(const char *word)
{
    append(&answer, " ", 1);
    append(&answer, word, strlen(word));
}

static void put_number(unsigned long long number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", number);
    put_word(digits);
}

static void put_bytes(const void *data, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    if (!length) {
        put_word("-");
        return;
    }
    append(&answer, " ", 1);
    for (size_t i = 0; i < length; i++) {
        char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        append(&answer, pair, 2);
    }
}

static void put_text(const wchar_t *text)
{
    put_bytes(text ? text : L"", text ? wcslen(text) * sizeof(wchar_t) : 0);
}

static void put_time(FILETIME time)
{
    put_number(((unsigned long long)time.dwHighDateTime << 32) | time.dwLowDateTime);
}

static void end_row(void)
{
    append(&answer, " ;", 2);
}

static int digit_of(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : 0;
}

/* The bytes of a hexadecimal field, followed by a terminator wide enough for any text. */
static unsigned char *bytes_of(const char *field, size_t *length)
{
    size_t count = strcmp(field, "-") ? strlen(field) / 2 : 0;
    unsigned char *bytes = must(calloc(count + sizeof(wchar_t), 1));
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)(digit_of(field[2 * i]) << 4 | digit_of(field[2 * i + 1]));
    if (length)
        *length = count;
    return bytes;
}

static wchar_t *text_of(const char *field)
{
    return (wchar_t *)bytes_of(field, NULL);
}

static unsigned long number_of(const char *field)
{
    return strtoul(field, NULL, 10);
}

static DWORD outcome(BOOL done)
{
    return done ? ERROR_SUCCESS : GetLastError();
}

/* ---- registry: every verb begins with HIVE VIEW KEY ---- */

static DWORD open_key(char **fields, REGSAM access, HKEY *key)
{
    HKEY hive = (HKEY)(ULONG_PTR)(LONG)number_of(fields[0]);
    REGSAM view = number_of(fields[1]) == 32 ? KEY_WOW64_32KEY : KEY_WOW64_64KEY;
    wchar_t *path = text_of(fields[2]);
    DWORD code = RegOpenKeyExW(hive, path, 0, access | view, key);
    free(path);
    return code;
}

static DWORD registry_keys(char **fields)
{
    HKEY key;
    DWORD code = open_key(fields, KEY_ENUMERATE_SUB_KEYS, &key);
    if (code)
        return code;
    for (DWORD index = 0;; index++) {
        wchar_t name[256];
        DWORD length = 256;
        code = RegEnumKeyExW(key, index, name, &length, NULL, NULL, NULL, NULL);
        if (code)
            break;
        put_bytes(name, length * sizeof(wchar_t));
        end_row();
    }
    RegCloseKey(key);
    return code == ERROR_NO_MORE_ITEMS ? ERROR_SUCCESS : code;
}

/* Rows of NAME TYPE DATA. */
static DWORD registry_values(char **fields)
{
    HKEY key;
    DWORD most = 0, code = open_key(fields, KEY_QUERY_VALUE, &key);
    if (code)
        return code;
    RegQueryInfoKeyW(key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, &most, NULL, NULL);
    BYTE *data = must(malloc(most + 1));
    wchar_t *name = must(malloc(16384 * sizeof(wchar_t)));
    for (DWORD index = 0;; index++) {
        DWORD length = 16384, type, size = most;
        code = RegEnumValueW(key, index, name, &length, NULL, &type, data, &size);
        if (code)
            break;
        put_bytes(name, length * sizeof(wchar_t));
        put_number(type);
        put_bytes(data, size);
        end_row();
    }
    free(name);
    free(data);
    RegCloseKey(key);
    return code == ERROR_NO_MORE_ITEMS ? ERROR_SUCCESS : code;
}

/* NAME -> TYPE DATA. */
static DWORD registry_get(char **fields)
{
    HKEY key;
    DWORD type, size = 0, code = open_key(fields, KEY_QUERY_VALUE, &key);
    if (code)
        return code;
    wchar_t *name = text_of(fields[3]);
    code = RegQueryValueExW(key, name, NULL, &type, NULL, &size);
    if (!code) {
        BYTE *data = must(malloc(size + 1));
        code = RegQueryValueExW(key, name, NULL, &type, data, &size);
        if (!code) {
            put_number(type);
            put_bytes(data, size);
        }
        free(data);
    }
    free(name);
    RegCloseKey(key);
    return code;
}

/* NAME TYPE DATA. */
static DWORD registry_set(char **fields)
{
    HKEY key;
    DWORD code = open_key(fields, KEY_SET_VALUE, &key);
    if (code)
        return code;
    size_t size;
    wchar_t *name = text_of(fields[3]);
    BYTE *data = bytes_of(fields[5], &size);
    code = RegSetValueExW(key, name, 0, number_of(fields[4]), data, (DWORD)size);
    free(data);
    free(name);
    RegCloseKey(key);
    return code;
}

/* NAME. */
static DWORD registry_unset(char **fields)
{
    HKEY key;
    DWORD code = open_key(fields, KEY_SET_VALUE, &key);
    if (code)
        return code;
    wchar_t *name = text_of(fields[3]);
    code = RegDeleteValueW(key, name);
    free(name);
    RegCloseKey(key);
    return code;
}

static DWORD registry_create(char **fields)
{
    HKEY hive = (HKEY)(ULONG_PTR)(LONG)number_of(fields[0]), key;
    REGSAM view = number_of(fields[1]) == 32 ? KEY_WOW64_32KEY : KEY_WOW64_64KEY;
    wchar_t *path = text_of(fields[2]);
    DWORD code = RegCreateKeyExW(hive, path, 0, NULL, 0, KEY_WRITE | view, NULL, &key, NULL);
    if (!code)
        RegCloseKey(key);
    free(path);
    return code;
}

static DWORD registry_delete(char **fields)
{
    HKEY hive = (HKEY)(ULONG_PTR)(LONG)number_of(fields[0]);
    REGSAM view = number_of(fields[1]) == 32 ? KEY_WOW64_32KEY : KEY_WOW64_64KEY;
    wchar_t *path = text_of(fields[2]);
    DWORD code = RegDeleteKeyExW(hive, path, view, 0);
    free(path);
    return code;
}

/* ACCESS: whether the key opens with these rights. */
static DWORD registry_access(char **fields)
{
    HKEY key;
    DWORD code = open_key(fields, number_of(fields[3]), &key);
    if (!code)
        RegCloseKey(key);
    return code;
}

/* ---- services ---- */

static SC_HANDLE manager(void)
{
    static SC_HANDLE opened;
    if (!opened)
        opened = OpenSCManagerW(NULL, NULL, SC_MANAGER_ALL_ACCESS);
    return opened;
}

static DWORD open_service(const char *field, SC_HANDLE *service)
{
    wchar_t *name = text_of(field);
    *service = OpenServiceW(manager(), name, SERVICE_ALL_ACCESS);
    free(name);
    return outcome(*service != NULL);
}

static DWORD service_names(char **fields)
{
    (void)fields;
    DWORD needed = 0, count = 0, resume = 0;
    EnumServicesStatusExW(manager(), SC_ENUM_PROCESS_INFO, SERVICE_WIN32, SERVICE_STATE_ALL, NULL, 0, &needed, &count,
                          &resume, NULL);
    DWORD size = needed + 4096;
    BYTE *data = must(malloc(size));
    resume = 0;
    BOOL done = EnumServicesStatusExW(manager(), SC_ENUM_PROCESS_INFO, SERVICE_WIN32, SERVICE_STATE_ALL, data, size,
                                      &needed, &count, &resume, NULL);
    DWORD code = outcome(done);
    ENUM_SERVICE_STATUS_PROCESSW *rows = (ENUM_SERVICE_STATUS_PROCESSW *)data;
    for (DWORD i = 0; !code && i < count; i++) {
        put_text(rows[i].lpServiceName);
        end_row();
    }
    free(data);
    return code;
}

static size_t multi_length(const wchar_t *texts)
{
    const wchar_t *end = texts;
    while (texts && *end)
        end += wcslen(end) + 1;
    return (size_t)(end - texts) * sizeof(wchar_t);
}

static DWORD put_config(SC_HANDLE service)
{
    DWORD needed = 0;
    QueryServiceConfigW(service, NULL, 0, &needed);
    QUERY_SERVICE_CONFIGW *config = must(calloc(needed + 1, 1));
    DWORD code = outcome(QueryServiceConfigW(service, config, needed, &needed));
    if (!code) {
        put_text(config->lpDisplayName);
        put_number(config->dwServiceType);
        put_number(config->dwStartType);
        put_number(config->dwErrorControl);
        put_text(config->lpBinaryPathName);
        put_text(config->lpServiceStartName);
        put_bytes(config->lpDependencies, multi_length(config->lpDependencies));
    }
    free(config);
    return code;
}

/* NAME -> DISPLAY TYPE START ERROR-CONTROL PATH ACCOUNT DEPENDENCIES STATE ACCEPTED EXIT SPECIFIC PROCESS. */
static DWORD service_get(char **fields)
{
    SC_HANDLE service;
    DWORD code = open_service(fields[0], &service);
    if (code)
        return code;
    code = put_config(service);
    SERVICE_STATUS_PROCESS status;
    DWORD needed;
    if (!code)
        code = outcome(QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)&status, sizeof status, &needed));
    if (!code) {
        put_number(status.dwCurrentState);
        put_number(status.dwControlsAccepted);
        put_number(status.dwWin32ExitCode);
        put_number(status.dwServiceSpecificExitCode);
        put_number(status.dwProcessId);
    }
    CloseServiceHandle(service);
    return code;
}

/* NAME DISPLAY PATH TYPE START DEPENDENCIES, the last with a zero after each and one more at the end. */
static DWORD service_create(char **fields)
{
    wchar_t *name = text_of(fields[0]), *display = text_of(fields[1]), *path = text_of(fields[2]);
    wchar_t *dependencies = text_of(fields[5]);
    SC_HANDLE service = CreateServiceW(manager(), name, display, SERVICE_ALL_ACCESS, number_of(fields[3]),
                                       number_of(fields[4]), SERVICE_ERROR_NORMAL, path, NULL, NULL, dependencies,
                                       NULL, NULL);
    DWORD code = outcome(service != NULL);
    if (service)
        CloseServiceHandle(service);
    free(name);
    free(display);
    free(path);
    free(dependencies);
    return code;
}

static DWORD service_delete(char **fields)
{
    SC_HANDLE service;
    DWORD code = open_service(fields[0], &service);
    if (code)
        return code;
    code = outcome(DeleteService(service));
    CloseServiceHandle(service);
    return code;
}

static DWORD service_start(char **fields)
{
    SC_HANDLE service;
    DWORD code = open_service(fields[0], &service);
    if (code)
        return code;
    /* Wine's manager starts one service at a time, and refuses a second after three seconds; Windows' lets it wait. */
    for (int tries = 0; tries < 10; tries++) {
        code = outcome(StartServiceW(service, 0, NULL));
        if (code != ERROR_SERVICE_DATABASE_LOCKED)
            break;
    }
    CloseServiceHandle(service);
    return code;
}

/* NAME CONTROL. */
static DWORD service_control(char **fields)
{
    SC_HANDLE service;
    SERVICE_STATUS status;
    DWORD code = open_service(fields[0], &service);
    if (code)
        return code;
    code = outcome(ControlService(service, number_of(fields[1]), &status));
    CloseServiceHandle(service);
    return code;
}

/* NAME START PATH; 4294967295 and "-" leave it as it is. */
static DWORD service_config(char **fields)
{
    SC_HANDLE service;
    DWORD code = open_service(fields[0], &service);
    if (code)
        return code;
    wchar_t *path = text_of(fields[2]);
    code = outcome(ChangeServiceConfigW(service, SERVICE_NO_CHANGE, number_of(fields[1]), SERVICE_NO_CHANGE,
                                        *path ? path : NULL, NULL, NULL, NULL, NULL, NULL, NULL));
    free(path);
    CloseServiceHandle(service);
    return code;
}

/* ---- files ---- */

static void put_file(const WIN32_FIND_DATAW *found)
{
    put_text(found->cFileName);
    put_number(found->dwFileAttributes);
    put_number(((unsigned long long)found->nFileSizeHigh << 32) | found->nFileSizeLow);
    put_time(found->ftCreationTime);
    put_time(found->ftLastWriteTime);
    put_time(found->ftLastAccessTime);
}

/* PATH -> ATTRIBUTES SIZE CREATED WRITTEN ACCESSED. */
static DWORD file_stat(char **fields)
{
    WIN32_FILE_ATTRIBUTE_DATA found;
    wchar_t *path = text_of(fields[0]);
    DWORD code = outcome(GetFileAttributesExW(path, GetFileExInfoStandard, &found));
    if (!code) {
        put_number(found.dwFileAttributes);
        put_number(((unsigned long long)found.nFileSizeHigh << 32) | found.nFileSizeLow);
        put_time(found.ftCreationTime);
        put_time(found.ftLastWriteTime);
        put_time(found.ftLastAccessTime);
    }
    free(path);
    return code;
}

/* FOLDER -> rows of NAME ATTRIBUTES SIZE CREATED WRITTEN ACCESSED. */
static DWORD file_list(char **fields)
{
    WIN32_FIND_DATAW found;
    wchar_t *folder = text_of(fields[0]);
    wchar_t *pattern = must(calloc(wcslen(folder) + 3, sizeof(wchar_t)));
    wcscat(wcscpy(pattern, folder), L"\\*");
    HANDLE search = FindFirstFileW(pattern, &found);
    DWORD code = outcome(search != INVALID_HANDLE_VALUE);
    while (!code) {
        if (wcscmp(found.cFileName, L".") && wcscmp(found.cFileName, L"..")) {
            put_file(&found);
            end_row();
        }
        code = outcome(FindNextFileW(search, &found));
    }
    if (search != INVALID_HANDLE_VALUE)
        FindClose(search);
    free(pattern);
    free(folder);
    return code == ERROR_NO_MORE_FILES ? ERROR_SUCCESS : code;
}

/* PATH -> the four numbers of the fixed part of its version resource. */
static DWORD file_version(char **fields)
{
    wchar_t *path = text_of(fields[0]);
    DWORD unused, size = GetFileVersionInfoSizeW(path, &unused), code = outcome(size != 0);
    void *data = must(calloc(size + 1, 1));
    VS_FIXEDFILEINFO *fixed;
    UINT length;
    if (!code)
        code = outcome(GetFileVersionInfoW(path, 0, size, data) && VerQueryValueW(data, L"\\", (void **)&fixed, &length));
    if (!code) {
        put_number(HIWORD(fixed->dwFileVersionMS));
        put_number(LOWORD(fixed->dwFileVersionMS));
        put_number(HIWORD(fixed->dwFileVersionLS));
        put_number(LOWORD(fixed->dwFileVersionLS));
    }
    free(data);
    free(path);
    return code;
}

static DWORD file_copy(char **fields)
{
    wchar_t *source = text_of(fields[0]), *target = text_of(fields[1]);
    DWORD code = outcome(CopyFileW(source, target, TRUE));
    free(source);
    free(target);
    return code;
}

static DWORD file_move(char **fields)
{
    wchar_t *source = text_of(fields[0]), *target = text_of(fields[1]);
    DWORD code = outcome(MoveFileExW(source, target, 0));
    free(source);
    free(target);
    return code;
}

static DWORD on_path(const char *field, BOOL WINAPI (*act)(LPCWSTR))
{
    wchar_t *path = text_of(field);
    DWORD code = outcome(act(path));
    free(path);
    return code;
}

static DWORD file_delete(char **fields)
{
    return on_path(fields[0], DeleteFileW);
}

static DWORD file_rmdir(char **fields)
{
    return on_path(fields[0], RemoveDirectoryW);
}

static DWORD file_mkdir(char **fields)
{
    wchar_t *path = text_of(fields[0]);
    DWORD code = outcome(CreateDirectoryW(path, NULL));
    free(path);
    return code;
}

static DWORD file_read(char **fields)
{
    wchar_t *path = text_of(fields[0]);
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    DWORD code = outcome(file != INVALID_HANDLE_VALUE);
    if (!code) {
        DWORD size = GetFileSize(file, NULL), taken = 0;
        BYTE *data = must(malloc(size + 1));
        code = outcome(ReadFile(file, data, size, &taken, NULL));
        if (!code)
            put_bytes(data, taken);
        free(data);
        CloseHandle(file);
    }
    free(path);
    return code;
}

/* PATH BYTES: makes the file, or replaces what is in it. */
static DWORD file_write(char **fields)
{
    size_t size;
    wchar_t *path = text_of(fields[0]);
    BYTE *data = bytes_of(fields[1], &size);
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    DWORD written, code = outcome(file != INVALID_HANDLE_VALUE);
    if (!code) {
        code = outcome(WriteFile(file, data, (DWORD)size, &written, NULL));
        CloseHandle(file);
    }
    free(data);
    free(path);
    return code;
}

/* ---- processes and commands ---- */

static FILETIME created(DWORD process_id)
{
    FILETIME times[4] = {{0}};
    HANDLE process = OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, process_id);
    if (process) {
        GetProcessTimes(process, &times[0], &times[1], &times[2], &times[3]);
        CloseHandle(process);
    }
    return times[0];
}

/* Rows of PROCESS PARENT IMAGE CREATED. */
static DWORD process_list(char **fields)
{
    (void)fields;
    PROCESSENTRY32W entry = {.dwSize = sizeof entry};
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    DWORD code = outcome(snapshot != INVALID_HANDLE_VALUE && Process32FirstW(snapshot, &entry));
    while (!code) {
        put_number(entry.th32ProcessID);
        put_number(entry.th32ParentProcessID);
        put_text(entry.szExeFile);
        put_time(created(entry.th32ProcessID));
        end_row();
        code = outcome(Process32NextW(snapshot, &entry));
    }
    if (snapshot != INVALID_HANDLE_VALUE)
        CloseHandle(snapshot);
    return code == ERROR_NO_MORE_FILES ? ERROR_SUCCESS : code;
}

typedef struct {
    HANDLE read, write, thread;
    Buffer taken;
} Stream;

static DWORD WINAPI drain(void *argument)
{
    Stream *stream = argument;
    char piece[4096];
    DWORD length;
    while (ReadFile(stream->read, piece, sizeof piece, &length, NULL) && length)
        if (stream->taken.length + length <= MAX_COMMAND_OUTPUT)
            append(&stream->taken, piece, length);
    return 0;
}

static void open_stream(Stream *stream)
{
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    CreatePipe(&stream->read, &stream->write, &inherited, 0);
    SetHandleInformation(stream->read, HANDLE_FLAG_INHERIT, 0);
    stream->thread = CreateThread(NULL, 0, drain, stream, 0, NULL);
}

static void close_stream(Stream *stream)
{
    /* A grandchild may hold the other end for ever. */
    if (WaitForSingleObject(stream->thread, 2000) == WAIT_TIMEOUT)
        TerminateThread(stream->thread, 0);
    CloseHandle(stream->thread);
    CloseHandle(stream->read);
}

static DWORD started(wchar_t *line, const wchar_t *folder, const Stream streams[2], PROCESS_INFORMATION *process)
{
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    HANDLE nothing = CreateFileW(L"NUL", GENERIC_READ, FILE_SHARE_READ, &inherited, OPEN_EXISTING, 0, NULL);
    STARTUPINFOW startup = {.cb = sizeof startup, .dwFlags = STARTF_USESTDHANDLES};
    startup.hStdInput = nothing;
    startup.hStdOutput = streams[0].write;
    startup.hStdError = streams[1].write;
    DWORD code = outcome(CreateProcessW(NULL, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, *folder ? folder : NULL,
                                        &startup, process));
    CloseHandle(nothing);
    return code;
}

/* COMMAND-LINE FOLDER MILLISECONDS -> EXIT-CODE STDOUT STDERR. The command and what it started are ended in time. */
static DWORD run(char **fields)
{
    wchar_t *line = text_of(fields[0]), *folder = text_of(fields[1]);
    Stream streams[2] = {{0}};
    PROCESS_INFORMATION process;
    open_stream(&streams[0]);
    open_stream(&streams[1]);
    HANDLE job = CreateJobObjectW(NULL, NULL);
    DWORD code = started(line, folder, streams, &process), exit_code = 0;
    CloseHandle(streams[0].write);
    CloseHandle(streams[1].write);
    if (!code) {
        AssignProcessToJobObject(job, process.hProcess);
        ResumeThread(process.hThread);
        if (WaitForSingleObject(process.hProcess, number_of(fields[2])) == WAIT_TIMEOUT) {
            TerminateJobObject(job, ERROR_TIMEOUT);
            code = ERROR_TIMEOUT;
        }
        GetExitCodeProcess(process.hProcess, &exit_code);
        CloseHandle(process.hProcess);
        CloseHandle(process.hThread);
    }
    close_stream(&streams[0]);
    close_stream(&streams[1]);
    CloseHandle(job);
    put_number(exit_code);
    put_bytes(streams[0].taken.bytes, streams[0].taken.length);
    put_bytes(streams[1].taken.bytes, streams[1].taken.length);
    free(streams[0].taken.bytes);
    free(streams[1].taken.bytes);
    free(line);
    free(folder);
    return code;
}

/* ---- the system ---- */

static DWORD expand(char **fields)
{
    wchar_t *text = text_of(fields[0]);
    DWORD needed = ExpandEnvironmentStringsW(text, NULL, 0);
    wchar_t *expanded = must(calloc(needed + 1, sizeof(wchar_t)));
    DWORD code = outcome(ExpandEnvironmentStringsW(text, expanded, needed) != 0);
    if (!code)
        put_text(expanded);
    free(expanded);
    free(text);
    return code;
}

/* MAJOR MINOR BUILD SERVICE-PACK PRODUCT-TYPE COMPUTER WINDOWS-FOLDER NOW MILLISECONDS-SINCE-START ARCHITECTURE LANGUAGE. */
static DWORD system_facts(char **fields)
{
    (void)fields;
    OSVERSIONINFOEXW version = {.dwOSVersionInfoSize = sizeof version};
    wchar_t computer[MAX_COMPUTERNAME_LENGTH + 1] = L"", folder[MAX_PATH];
    DWORD length = MAX_COMPUTERNAME_LENGTH + 1;
    FILETIME now;
    SYSTEM_INFO system;
    DWORD code = outcome(GetVersionExW((OSVERSIONINFOW *)&version));
    GetComputerNameW(computer, &length);
    GetWindowsDirectoryW(folder, MAX_PATH);
    GetSystemTimeAsFileTime(&now);
    GetNativeSystemInfo(&system);
    put_number(version.dwMajorVersion);
    put_number(version.dwMinorVersion);
    put_number(version.dwBuildNumber);
    put_number(version.wServicePackMajor);
    put_number(version.wProductType);
    put_text(computer);
    put_text(folder);
    put_time(now);
    put_number(GetTickCount64());
    put_number(system.wProcessorArchitecture);
    put_number(GetSystemDefaultLangID());
    return code;
}

/* ---- the conversation ---- */

typedef struct {
    const char *name;
    int arguments;
    DWORD (*act)(char **fields);
} Verb;

static const Verb verbs[] = {
    {"registry.keys", 3, registry_keys},     {"registry.values", 3, registry_values},
    {"registry.get", 4, registry_get},       {"registry.set", 6, registry_set},
    {"registry.unset", 4, registry_unset},   {"registry.create", 3, registry_create},
    {"registry.delete", 3, registry_delete}, {"registry.access", 4, registry_access},
    {"service.names", 0, service_names},     {"service.get", 1, service_get},
    {"service.create", 6, service_create},   {"service.delete", 1, service_delete},
    {"service.start", 1, service_start},     {"service.control", 2, service_control},
    {"service.config", 3, service_config},   {"file.stat", 1, file_stat},
    {"file.list", 1, file_list},             {"file.version", 1, file_version},
    {"file.copy", 2, file_copy},             {"file.move", 2, file_move},
    {"file.delete", 1, file_delete},         {"file.mkdir", 1, file_mkdir},
    {"file.rmdir", 1, file_rmdir},           {"file.read", 1, file_read},
    {"file.write", 2, file_write},           {"process.list", 0, process_list},
    {"process.run", 3, run},                 {"system.expand", 1, expand},
    {"system.facts", 0, system_facts},
};

static DWORD dispatched(char *line)
{
    char *fields[MAX_FIELDS];
    int count = 0;
    for (char *field = strtok(line, " \r\n"); field && count < MAX_FIELDS; field = strtok(NULL, " \r\n"))
        fields[count++] = field;
    for (size_t i = 0; count && i < sizeof verbs / sizeof *verbs; i++)
        if (!strcmp(fields[0], verbs[i].name))
            return count - 1 == verbs[i].arguments ? verbs[i].act(fields + 1) : ERROR_BAD_ARGUMENTS;
    return ERROR_INVALID_FUNCTION;
}

static BOOL read_line(Buffer *line)
{
    char piece[65536];
    line->length = 0;
    while (fgets(piece, sizeof piece, stdin)) {
        size_t length = strlen(piece);
        append(line, piece, length);
        if (piece[length - 1] == '\n')
            return TRUE;
    }
    return FALSE;
}

int wmain(void)
{
    Buffer line = {0};
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
    while (read_line(&line)) {
        answer.length = 0;
        append(&answer, "", 0);
        DWORD code = dispatched(line.bytes);
        printf("%lu%s\n", code, answer.bytes);
        fflush(stdout);
    }
    return 0;
}

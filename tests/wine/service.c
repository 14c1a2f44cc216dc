/*
 * A service program that behaves as it is told, so that real services can be broken the way they break in the field.
 *
 * Run under the name inetinfo.exe it implements what Internet Information Services' own program does: its own services,
 * and those that the multi-string DispatchEntries under Services\InetInfo\Parameters names (Q277770); any other that is
 * configured to run in it is not implemented. Run under any other name it implements whichever service it is started for.
 *
 * Services\NAME\Parameters says how a service fares, each a dword: WitnessExitCode (it refuses to start with that code),
 * WitnessSpecificCode (with that service-specific code), WitnessDiesAfter (milliseconds it runs before it ends by itself),
 * WitnessStartsFor (milliseconds it stays start-pending), WitnessStopsFor (milliseconds it stays stop-pending).
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <winsvc.h>
#include <stdlib.h>
#include <wchar.h>

#define MAX_SERVICES 32
#define SERVICES L"SYSTEM\\CurrentControlSet\\Services\\"

typedef struct {
    SERVICE_STATUS_HANDLE handle;
    SERVICE_STATUS status;
    HANDLE stop;
    DWORD stops_for;
} Service;

static DWORD told(const wchar_t *service, const wchar_t *name, DWORD otherwise)
{
    wchar_t path[512] = SERVICES;
    DWORD value, size = sizeof value;
    wcsncat(path, service, 256);
    wcscat(path, L"\\Parameters");
    LONG code = RegGetValueW(HKEY_LOCAL_MACHINE, path, name, RRF_RT_REG_DWORD, NULL, &value, &size);
    return code ? otherwise : value;
}

static void report(Service *service, DWORD state, DWORD code, DWORD specific)
{
    service->status.dwCurrentState = state;
    service->status.dwWin32ExitCode = specific ? ERROR_SERVICE_SPECIFIC_ERROR : code;
    service->status.dwServiceSpecificExitCode = specific;
    service->status.dwControlsAccepted =
        state == SERVICE_RUNNING || state == SERVICE_PAUSED ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_PAUSE_CONTINUE : 0;
    service->status.dwWaitHint = 2000;
    SetServiceStatus(service->handle, &service->status);
}

static DWORD WINAPI handle(DWORD control, DWORD type, void *data, void *context)
{
    Service *service = context;
    (void)type;
    (void)data;
    switch (control) {
    case SERVICE_CONTROL_STOP:
        report(service, SERVICE_STOP_PENDING, NO_ERROR, 0);
        SetEvent(service->stop);
        return NO_ERROR;
    case SERVICE_CONTROL_PAUSE:
        report(service, SERVICE_PAUSED, NO_ERROR, 0);
        return NO_ERROR;
    case SERVICE_CONTROL_CONTINUE:
        report(service, SERVICE_RUNNING, NO_ERROR, 0);
        return NO_ERROR;
    case SERVICE_CONTROL_INTERROGATE:
        return NO_ERROR;
    }
    return ERROR_CALL_NOT_IMPLEMENTED;
}

static void WINAPI serve(DWORD count, wchar_t **arguments)
{
    const wchar_t *name = count ? arguments[0] : L"";
    Service *service = calloc(1, sizeof *service);
    service->status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    service->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    service->handle = RegisterServiceCtrlHandlerExW(name, handle, service);
    report(service, SERVICE_START_PENDING, NO_ERROR, 0);
    Sleep(told(name, L"WitnessStartsFor", 0));
    DWORD code = told(name, L"WitnessExitCode", NO_ERROR), specific = told(name, L"WitnessSpecificCode", 0);
    if (!code && !specific) {
        report(service, SERVICE_RUNNING, NO_ERROR, 0);
        DWORD ended = WaitForSingleObject(service->stop, told(name, L"WitnessDiesAfter", INFINITE));
        if (ended == WAIT_TIMEOUT)
            code = ERROR_PROCESS_ABORTED; /* what Windows' manager notes of a program that went away; Wine's does not look */
        else
            Sleep(told(name, L"WitnessStopsFor", 0));
    }
    report(service, SERVICE_STOPPED, code, specific);
}

/* The names after which inetinfo.exe would dispatch, as one entry each; the number of them. */
static DWORD dispatched(SERVICE_TABLE_ENTRYW *table)
{
    static const wchar_t *own[] = {L"IISADMIN", L"W3SVC", L"MSFTPSVC"};
    static wchar_t entries[4096];
    DWORD size = sizeof entries - 2 * sizeof(wchar_t), count = 0;
    for (; count < sizeof own / sizeof *own; count++)
        table[count].lpServiceName = (wchar_t *)own[count];
    if (RegGetValueW(HKEY_LOCAL_MACHINE, SERVICES L"InetInfo\\Parameters", L"DispatchEntries", RRF_RT_REG_MULTI_SZ, NULL,
                     entries, &size))
        return count;
    for (wchar_t *name = entries; *name && count < MAX_SERVICES; name += wcslen(name) + 1)
        table[count++].lpServiceName = name;
    return count;
}

int wmain(int count, wchar_t **arguments)
{
    SERVICE_TABLE_ENTRYW table[MAX_SERVICES + 1] = {{0}};
    const wchar_t *file = wcsrchr(arguments[0], L'\\');
    DWORD entries = 1;
    (void)count;
    table[0].lpServiceName = L"";
    if (!_wcsicmp(file ? file + 1 : arguments[0], L"inetinfo.exe"))
        entries = dispatched(table);
    for (DWORD i = 0; i < entries; i++)
        table[i].lpServiceProc = serve;
    return StartServiceCtrlDispatcherW(table) ? 0 : (int)GetLastError();
}

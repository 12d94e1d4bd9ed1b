/*
 * watchdog_module.c: corelaunch._watchdog. An extension of its own and not made with cffi, because delete and kill
 * need nothing else in C, and the cffi module costs them a millisecond.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>

#include "watchdog.h"

static PyObject *answer(int result)
{
    if (result == 0)
        Py_RETURN_NONE;
    errno = -result;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *setup(PyObject *module, PyObject *arguments)
{
    struct watchdog_output output;
    int json;

    (void)module;
    if (!PyArg_ParseTuple(arguments, "ipzi", &output.log, &json, &output.prefix, &output.exit_code))
        return NULL;
    output.json = json != 0;
    return answer(watchdog_setup(&output));
}

static PyObject *arm(PyObject *module, PyObject *arguments)
{
    const char *owner, *what;
    double seconds;
    int child;

    (void)module;
    if (!PyArg_ParseTuple(arguments, "ssdi", &owner, &what, &seconds, &child))
        return NULL;
    return answer(watchdog_arm(owner, what, seconds, child));
}

static PyObject *disarm(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return answer(watchdog_disarm());
}

static PyMethodDef functions[] = {
    {"setup", setup, METH_VARARGS, "setup(log_fd, json, stderr_prefix, exit_code): where the last line goes."},
    {"arm", arm, METH_VARARGS, "arm(owner, what, seconds, pidfd): end the process after that time."},
    {"disarm", disarm, METH_NOARGS, "disarm(): the call has returned."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "corelaunch._watchdog",
    .m_doc = "Ends a command whose plugin does not return from a call.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__watchdog(void);

PyMODINIT_FUNC PyInit__watchdog(void)
{
    return PyModule_Create(&definition);
}

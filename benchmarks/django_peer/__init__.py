"""The WiWebb Users API in Django REST framework, written as its documentation recommends."""

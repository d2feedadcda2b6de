"""The WiWebb Users API in Django REST framework, as a competent person would write it."""
